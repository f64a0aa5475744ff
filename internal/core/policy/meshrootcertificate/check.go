package meshrootcertificate

import (
	"fmt"

	config "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// Kind is the kind this package looks at.
const Kind = config.KindMeshRootCertificate

// Flag is the feature flag of MeshConfig without which the objects have no effect.
const Flag = "enableMeshRootCertificate"

// Unusable says why an object of the control plane's namespace cannot be used as it is written, in a mesh with a trust domain; ""
// when it can.
func Unusable(o *config.MeshRootCertificate, trustDomain string) (reason, message string) {
	if td := o.Spec.TrustDomain; td != "" && td != trustDomain {
		return "OtherTrustDomain", fmt.Sprintf("spec.trustDomain: %q is not the mesh's, %q. The trust domain is part of every identity, and running "+
			"sidecars would refuse each other: it is changed by installing anew (chart value osm.trustDomain)", td, trustDomain)
	}
	p := o.Spec.Provider
	if p.Tresor == nil {
		return "", ""
	}
	ref := p.Tresor.CA.SecretRef
	if ref.Name == "" {
		return "NoSecret", "spec.provider.tresor.ca.secretRef.name: is empty; name a Secret, which is made when it does not exist"
	}
	if ref.Namespace != "" && ref.Namespace != o.Namespace {
		return "SecretElsewhere", fmt.Sprintf("spec.provider.tresor.ca.secretRef.namespace: %q is not the control plane's namespace, %q, and Secrets of others are not read",
			ref.Namespace, o.Namespace)
	}
	return "", ""
}

// Check reports what is wrong with objects by what they say: where they are, and whether the mesh takes its roots from objects.
func Check(objects []*config.MeshRootCertificate, mesh snapshot.Mesh) []snapshot.Finding {
	var out []snapshot.Finding
	for _, o := range objects {
		f := snapshot.Finding{Object: snapshot.ObjectRef{Kind: Kind, Namespace: o.Namespace, Name: o.Name}, Severity: snapshot.Error}
		switch {
		case mesh.Namespace != "" && o.Namespace != mesh.Namespace:
			f.Reason, f.Message = "OtherNamespace", fmt.Sprintf(
				"metadata.namespace: %q is not the control plane's, so the object has no effect; make it in %q", o.Namespace, mesh.Namespace)
		case !mesh.FeatureFlags[Flag]:
			f.Severity, f.Reason, f.Message = snapshot.Warning, "NotSupported",
				"the MeshConfig's spec.featureFlags."+Flag+" is not true, so the object has no effect"
		default:
			f.Reason, f.Message = Unusable(o, string(mesh.TrustDomain))
		}
		if f.Message != "" {
			out = append(out, f)
		}
		if o.Spec.SpiffeEnabled && f.Message == "" {
			out = append(out, snapshot.Finding{Object: f.Object, Severity: snapshot.Warning, Reason: "NotSupported",
				Message: "spec.spiffeEnabled: this version adds no SPIFFE ID to certificates; it has no effect"})
		}
	}
	return out
}
