package pipeline

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// countedParts is a mesh whose service "a" has the address of its pod, which belongs to a Deployment, and one more by an
// EndpointSlice's word; the pod "b" is scraped.
func countedParts(generation uint64, more snapshot.Endpoint) snapshot.Parts {
	p := parts(generation)
	p.Mesh.FeatureFlags = map[string]bool{names.FlagRequestStats: true}
	p.Pods[0].Workload = meshid.Workload{Kind: "Deployment", Name: "a-v1"}
	p.Pods[1].Scrape = true
	other := pod("other")
	other.ID.Namespace, other.IPs = "elsewhere", []netip.Addr{netip.MustParseAddr("10.1.0.9")}
	p.Pods = append(p.Pods, other)
	p.Endpoints[meshid.ServicePort{Service: p.Services[0].ID, Port: 80}] = []snapshot.Endpoint{
		{Addr: netip.MustParseAddrPort("10.1.0.1:80"), Pod: pod("a").ID}, more}
	return p
}

func ownersOf(v *View) map[string]envoy.Owner {
	out := map[string]envoy.Owner{}
	for _, a := range v.endpoints["shop/a|80"].addrs {
		out[a.AddrPort.String()] = a.Owner
	}
	return out
}

// listenersOf is the bytes of a proxy's listeners.
func listenersOf(t *testing.T, v *View, name string) string {
	t.Helper()
	var out []byte
	for _, l := range v.Config(keyOf(t, v, name)).List(envoy.Listener) {
		out = append(out, l.Body().Value...)
	}
	return string(out)
}

// TestOwnersOfAddresses: an address is a pod's if the pod has it, whatever a slice says, so nobody's calls are counted as
// another's.
func TestOwnersOfAddresses(t *testing.T) {
	a := envoy.Owner{Namespace: "shop", Pod: "a", Workload: meshid.Workload{Kind: "Deployment", Name: "a-v1"}}
	other := meshid.Pod{Namespace: "elsewhere", Name: "other", UID: "other"}
	for name, lie := range map[string]snapshot.Endpoint{
		"nobody":                        {Addr: netip.MustParseAddrPort("10.1.0.8:80")},
		"a pod with another address":    {Addr: netip.MustParseAddrPort("10.1.0.8:80"), Pod: pod("a").ID},
		"a pod of another namespace":    {Addr: netip.MustParseAddrPort("10.1.0.9:80"), Pod: other},
		"a pod that is not there":       {Addr: netip.MustParseAddrPort("10.1.0.8:80"), Pod: meshid.Pod{Namespace: "shop", Name: "a", UID: "x"}},
		"the same address without word": {Addr: netip.MustParseAddrPort("10.1.0.1:80")},
	} {
		want := map[string]envoy.Owner{"10.1.0.1:80": a}
		if addr := lie.Addr.String(); want[addr] == (envoy.Owner{}) {
			want[addr] = envoy.Owner{}
		}
		require.Equal(t, want, ownersOf(apply(t, New(nil), countedParts(1, lie), config)), name)
	}
}

// TestNobodyPaysWhereNothingIsCounted: addresses say whose they are only while somebody counts by that.
func TestNobodyPaysWhereNothingIsCounted(t *testing.T) {
	for name, change := range map[string]func(*snapshot.Parts){
		"switched off":      func(p *snapshot.Parts) { p.Mesh.FeatureFlags = nil },
		"nobody is scraped": func(p *snapshot.Parts) { p.Pods[1].Scrape = false },
		"without a sidecar": func(p *snapshot.Parts) { p.Pods[1].ProxyUUID = "" },
	} {
		p := New(nil)
		parts := countedParts(1, snapshot.Endpoint{Addr: netip.MustParseAddrPort("10.1.0.1:80")})
		change(&parts)
		v := apply(t, p, parts, config)
		require.Equal(t, map[string]envoy.Owner{"10.1.0.1:80": {}}, ownersOf(v), name)
		require.NotContains(t, listenersOf(t, v, "b"), "request_total", name)
		before := v.Endpoints("shop/a|80")

		v = apply(t, p, countedParts(2, snapshot.Endpoint{Addr: netip.MustParseAddrPort("10.1.0.1:80")}), config)
		require.Equal(t, "a", ownersOf(v)["10.1.0.1:80"].Pod, name)
		require.NotSame(t, before, v.Endpoints("shop/a|80"), name)
		require.Contains(t, listenersOf(t, v, "b"), "request_total", name)
		require.NotContains(t, listenersOf(t, v, "a"), "request_total", "what callers have in common is not what those who count have: %s", name)
	}
}

// TestOwnersComeWithPods: a slice may be known before its pod, and endpoints that change alone say whose they are too.
func TestOwnersComeWithPods(t *testing.T) {
	p, more := New(nil), snapshot.Endpoint{Addr: netip.MustParseAddrPort("10.1.0.1:80")}
	early := countedParts(1, more)
	early.Pods = early.Pods[1:]
	require.Zero(t, ownersOf(apply(t, p, early, config))["10.1.0.1:80"])
	whole := snapshot.New(countedParts(2, more))
	v, err := p.Apply(whole, config)
	require.NoError(t, err)
	require.Equal(t, "a", ownersOf(v)["10.1.0.1:80"].Pod)
	port := meshid.ServicePort{Service: meshid.Service{Namespace: "shop", Name: "a"}, Port: 80}
	v, err = p.Apply(whole.WithEndpoints(3, snapshot.Endpoints{port: {{Addr: netip.MustParseAddrPort("10.1.0.1:81"), Pod: pod("a").ID}}}),
		snapshot.Changed{Endpoints: []meshid.ServicePort{port}})
	require.NoError(t, err)
	require.Equal(t, "a", ownersOf(v)["10.1.0.1:81"].Pod)
}
