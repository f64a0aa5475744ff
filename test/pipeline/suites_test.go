package pipeline

import (
	"testing"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/core/policy/tlsparams"
	"openservicemesh.io/osm/internal/core/snapshot"
	"openservicemesh.io/osm/internal/pipeline"
	"openservicemesh.io/osm/internal/testkit/envoycheck"
)

// TestEnvoyKnowsTLSParameters keeps the lists of known cipher suites and curves honest: one wrong word in them would have
// every configuration of a mesh refused.
func TestEnvoyKnowsTLSParameters(t *testing.T) {
	c := readCaseAnew(t, "protocol-http")
	mesh := c.snap.Mesh
	mesh.TLS = snapshot.TLSParams{CipherSuites: append(tlsparams.Suites(), "[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]"), Curves: tlsparams.Curves()}
	c.snap.Mesh = mesh
	ca := newAuthority(t)
	view, err := pipeline.New(ca.bundle).Apply(c.snap, snapshot.Changed{Config: true})
	require.NoError(t, err)
	require.Empty(t, view.Findings())
	for _, p := range c.mesh.Proxies() {
		b, err := envoycheck.Static(view.Config(p.Key), view.Endpoints, ca.issue(t, "any.any.cluster.local"))
		require.NoError(t, err)
		require.NoError(t, envoycheck.Validate(t.Context(), envoycheck.Binary(t), t.TempDir(), b))
	}
}
