package plan

import (
	"testing"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// TestDetection: bytes pass on undeclared ports where the mesh is permissive and says so, and nowhere else.
func TestDetection(t *testing.T) {
	undeclared := snapshot.ServicePort{Name: "db", Port: 5432, TargetPort: 5432, Protocol: meshid.HTTP, Undeclared: true}
	declared := undeclared
	declared.Undeclared = false
	detect := func(p *snapshot.Parts) { p.Mesh.Detect = true }
	smi := func(p *snapshot.Parts) { p.Mesh.Detect, p.Mesh.Permissive = true, false }
	for _, c := range []struct {
		name     string
		change   func(*snapshot.Parts)
		ports    []snapshot.ServicePort
		out, in  []string
		clusters int
	}{
		{"detected", detect, []snapshot.ServicePort{undeclared},
			[]string{"outbound_shop/web_5432_http", "outbound_shop/web_5432_tcp"}, []string{"inbound_shop/web_5432_http", "inbound_shop/web_5432_tcp"}, 2},
		{"declared", detect, []snapshot.ServicePort{declared}, []string{"outbound_shop/web_5432_http"}, []string{"inbound_shop/web_5432_http"}, 1},
		{"switched off", nil, []snapshot.ServicePort{undeclared}, []string{"outbound_shop/web_5432_http"}, []string{"inbound_shop/web_5432_http"}, 1},
		{"SMI", smi, []snapshot.ServicePort{undeclared}, nil, []string{"inbound_shop/web_5432_http"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := world(c.change, c.ports...)
			var out, in []string
			client := planOf(p, client)
			if client.Outbound != nil {
				for _, chain := range client.Outbound.Chains {
					out = append(out, chain.Name)
					require.Equal(t, len(c.out) == 2 && chain.Protocol == meshid.HTTP, chain.Match.Detected, chain.Name)
				}
			}
			for _, chain := range planOf(p, server).Inbound.Chains {
				in = append(in, chain.Name)
				require.Equal(t, chain.Protocol == meshid.TCP, chain.Match.ALPN == "osm-tcp", chain.Name)
			}
			require.Equal(t, c.out, out)
			require.Equal(t, c.in, in)
			require.Len(t, client.Clusters, c.clusters)
		})
	}
}
