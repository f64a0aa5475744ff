package crds_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

const root = `apiVersion: config.openservicemesh.io/v1alpha2
kind: MeshRootCertificate
metadata: {name: x, namespace: osm-system}
spec: {role: %s, trustDomain: %s, spiffeEnabled: %s, provider: {tresor: {ca: {secretRef: {name: %s, namespace: osm-system}}}}}
`

// TestRootsChangeStepByStep: what the webhook refuses the definition refuses too.
func TestRootsChangeStepByStep(t *testing.T) {
	server := newAPIServer(t)
	make := func(role, td, spiffe, secret string) map[string]any {
		return parse(t, fmt.Appendf(nil, root, role, td, spiffe, secret))
	}
	roles := []string{"active", "passive", "inactive"}
	for _, before := range roles {
		for _, after := range roles {
			_, err := server.change(make(after, "a.b", "false", "s"), make(before, "a.b", "false", "s"))
			if before != after && before != "passive" && after != "passive" {
				require.ErrorContains(t, err, "give it the role passive first", "%s to %s", before, after)
			} else {
				require.NoError(t, err, "%s to %s", before, after)
			}
		}
	}
	old := make("active", "a.b", "false", "s")
	for field, changed := range map[string]map[string]any{
		"spec.trustDomain": make("active", "c.d", "false", "s"), "spec.spiffeEnabled": make("active", "a.b", "true", "s"),
		"spec.provider": make("active", "a.b", "false", "t"),
	} {
		_, err := server.change(changed, old)
		require.ErrorContains(t, err, "cannot be changed; create a new MeshRootCertificate and rotate to it", field)
		require.ErrorContains(t, err, field)
	}
}
