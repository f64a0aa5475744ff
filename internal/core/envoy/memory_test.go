package envoy

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"openservicemesh.io/osm/internal/core/ir"
)

// What is put together of parts has the bytes of the whole message encoded at once: versions are hashes of them, and those of
// another version of this program must be the same.
func TestPartsAreEncodedLikeTheWhole(t *testing.T) {
	p := proxy()
	p.IPv6, p.Metrics = true, true
	p.Outbound.Chains = append(p.Outbound.Chains, ir.Chain{Name: "tcp", Match: ir.ChainMatch{Port: 81, Detected: true}, TCP: []ir.Target{{Cluster: "mesh", Weight: 1}}})
	for _, permissive := range []bool{true, false} {
		if permissive {
			p.Outbound.Passthrough = false
		}
		set, err := Translate(p, Bundle("roots"))
		require.NoError(t, err)
		for _, typ := range Types() {
			for _, r := range set.List(typ) {
				m, err := r.Body().UnmarshalNew()
				require.NoError(t, err)
				whole, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
				require.NoError(t, err)
				require.Equal(t, whole, r.Body().Value, r.Name)
			}
		}
	}
}

// Proxies share what is equal, and a change leaves the rest as it was.
func TestMemoryShares(t *testing.T) {
	m := NewMemory()
	a, err := m.Translate(proxy(), Bundle("roots"), nil)
	require.NoError(t, err)
	same, err := m.Translate(proxy(), Bundle("roots"), a)
	require.NoError(t, err)
	require.Same(t, a, same)

	p := proxy()
	p.Identity.ServiceAccount = "other"
	p.RouteConfigs[1].VirtualHosts[0].Hosts = []string{"h2"}
	b, err := m.Translate(p, Bundle("roots"), a)
	require.NoError(t, err)
	require.NotSame(t, a, b)
	require.Same(t, a.Get(Listener, "outbound-listener"), b.Get(Listener, "outbound-listener"))
	require.Same(t, a.Get(Cluster, "mesh"), b.Get(Cluster, "mesh"))
	require.Same(t, a.Get(Route, "rds-in"), b.Get(Route, "rds-in"))
	require.NotEqual(t, a.Get(Route, "rds-out").Version, b.Get(Route, "rds-out").Version)

	alone, err := Translate(p, Bundle("roots"))
	require.NoError(t, err)
	require.Equal(t, alone.Version, b.Version, "the result does not depend on what is kept")
}

// What nobody asks for is dropped in time, what is asked for stays.
func TestMemoryForgets(t *testing.T) {
	m := NewMemory()
	of := func(n int) *Resources {
		p := proxy()
		p.Clusters[2].ServerName = fmt.Sprint(n)
		r, err := m.Translate(p, nil, nil)
		require.NoError(t, err)
		return r
	}
	first := of(0)
	size := len(m.resources)
	for n := range 100 {
		m.Age()
		require.Same(t, first.Get(Listener, "outbound-listener"), of(n).Get(Listener, "outbound-listener"))
	}
	require.Less(t, len(m.resources), size+maxIdle+sweepEvery+1)
	for range maxIdle + sweepEvery + 1 {
		m.Age()
	}
	require.Empty(t, m.resources)
	require.Empty(t, m.forms)
	require.Empty(t, m.parts)
}
