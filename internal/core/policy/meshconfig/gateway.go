package meshconfig

import (
	"errors"
	"fmt"
	"time"

	config "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/internal/core/pki"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// Check lists what is wrong with settings that are acted on.
func Check(c *config.MeshConfig) []snapshot.Finding {
	out := append(authorizationFindings(c), tracingFindings(c)...)
	g := c.Spec.Certificate.IngressGateway
	if g == nil {
		return out
	}
	if _, err := IngressGateway(g); err != nil {
		out = append(out, snapshot.Finding{
			Object:   snapshot.ObjectRef{Kind: Kind, Namespace: c.Namespace, Name: c.Name},
			Severity: snapshot.Warning, Reason: "InvalidIngressGateway",
			Message: fmt.Sprintf("spec.certificate.ingressGateway: %v; no certificate is issued", err)})
	}
	return out
}

// IngressGateway checks spec.certificate.ingressGateway and returns how long its certificate is to live: at least as long as
// a workload's may.
func IngressGateway(g *config.IngressGatewayCertSpec) (time.Duration, error) {
	if g.Secret.Name == "" || g.Secret.Namespace == "" {
		return 0, errors.New("secret.name and secret.namespace must both be set")
	}
	if len(g.SubjectAltNames) == 0 {
		return 0, errors.New("subjectAltNames is empty; name the ingress controller")
	}
	for i, n := range g.SubjectAltNames {
		if err := pki.CheckDNSName(n); err != nil {
			return 0, fmt.Errorf("subjectAltNames[%d]: %w", i, err)
		}
	}
	d, err := time.ParseDuration(g.ValidityDuration)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("validityDuration: %q is not a duration such as 24h", g.ValidityDuration)
	}
	return max(d, pki.MinServiceValidity), nil
}
