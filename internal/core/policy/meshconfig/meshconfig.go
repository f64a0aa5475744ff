// Package meshconfig reads settings of a MeshConfig (config.openservicemesh.io/v1alpha2) that need judgement, and says which
// make no sense or are not acted on. Input: the object. Output: values of the snapshot, findings, and settings checked. It
// imports the api types, names, pki and snapshot only; no policy kind.
package meshconfig

import (
	config "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// Kind is the kind this package looks at.
const Kind = config.KindMeshConfig

// Unsupported lists a finding for each setting that is on and has no effect in this version. Settings that have no effect
// by design (old feature flags kept for old manifests, the resync interval of a control plane that forgets nothing) are
// not among them. A feature that is built takes its line away here.
func Unsupported(c *config.MeshConfig) []snapshot.Finding {
	ref := snapshot.ObjectRef{Kind: Kind, Namespace: c.Namespace, Name: c.Name}
	var out []snapshot.Finding
	for _, s := range []struct {
		on    bool
		field string
	}{
		{c.Spec.FeatureFlags.EnableEnvoyActiveHealthChecks, "spec.featureFlags.enableEnvoyActiveHealthChecks"},
	} {
		if s.on {
			out = append(out, snapshot.Finding{
				Object: ref, Severity: snapshot.Warning, Reason: "NotSupported",
				Message: s.field + ": this version of the control plane does not act on it yet; it has no effect"})
		}
	}
	return out
}
