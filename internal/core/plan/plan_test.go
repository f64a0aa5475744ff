package plan

import (
	"encoding/json"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/snapshot"
)

func TestKey(t *testing.T) {
	id := meshid.Identity{Namespace: "ns", ServiceAccount: "sa"}
	a, b := meshid.Service{Namespace: "ns", Name: "a"}, meshid.Service{Namespace: "ns", Name: "b"}
	key := NewKey(id, []meshid.Service{b, a, b}, true, false)
	require.Equal(t, NewKey(id, []meshid.Service{a, b}, true, false), key, "keys of equal meaning are equal")
	require.Equal(t, []meshid.Service{a, b}, key.Services())
	require.Equal(t, "sa.ns[ns/a,ns/b]+metrics", key.String())
	require.Equal(t, "sa.ns[]+ipv6", NewKey(id, nil, false, true).String())
	require.Nil(t, NewKey(id, nil, false, false).Services())
	require.Zero(t, key.Compare(key))
	require.NotZero(t, key.Compare(NewKey(id, []meshid.Service{a}, true, false)))
	require.Negative(t, NewKey(meshid.Identity{Namespace: "a"}, nil, false, false).Compare(key))
}

// world has a service "web" with the given ports, one pod behind it and one client, in permissive mode.
func world(change func(*snapshot.Parts), ports ...snapshot.ServicePort) *Planner {
	ip := netip.MustParseAddr
	p := snapshot.Parts{
		Mesh: snapshot.Mesh{TrustDomain: "td", Permissive: true},
		Services: []*snapshot.Service{{
			ID: meshid.Service{Namespace: "shop", Name: "web"}, ClusterIPs: []netip.Addr{ip("10.0.0.1"), ip("fd00::1")},
			Selector: map[string]string{"app": "web"}, Ports: ports,
		}},
		Pods: []*snapshot.Pod{
			{ID: meshid.Pod{Namespace: "shop", Name: "web", UID: "1"}, Identity: meshid.Identity{Namespace: "shop", ServiceAccount: "web"},
				Labels: map[string]string{"app": "web"}, IPs: []netip.Addr{ip("10.1.0.1"), ip("fd01::1")}, Scrape: true},
			{ID: meshid.Pod{Namespace: "client", Name: "c", UID: "2"}, Identity: meshid.Identity{Namespace: "client", ServiceAccount: "c"}, IPs: []netip.Addr{ip("10.1.0.2")}},
		},
		Endpoints: snapshot.Endpoints{},
	}
	if change != nil {
		change(&p)
	}
	return New(snapshot.New(p))
}

func planOf(p *Planner, pod int) ir.Proxy { return p.Plan(p.KeyOf(p.Snapshot().Pods[pod])) }

const client, server = 0, 1 // pods are sorted by namespace

func TestKeyOf(t *testing.T) {
	p := world(nil)
	require.Equal(t, "web.shop[shop/web]+metrics+ipv6", p.KeyOf(p.Snapshot().Pods[server]).String())
	require.Equal(t, "c.client[]", p.KeyOf(p.Snapshot().Pods[client]).String())
}

func TestPlansAreRepeatable(t *testing.T) {
	ports := []snapshot.ServicePort{{Port: 80, TargetPort: 8080, Protocol: meshid.HTTP}, {Port: 90, TargetPort: 90, Protocol: meshid.TCP}}
	for _, pod := range []int{client, server} {
		first, err := json.Marshal(planOf(world(nil, ports...), pod))
		require.NoError(t, err)
		for range 5 {
			again, err := json.Marshal(planOf(world(nil, ports...), pod))
			require.NoError(t, err)
			require.Equal(t, string(first), string(again))
		}
	}
}

func TestPortsThatTheMeshDoesNotCarry(t *testing.T) {
	for _, c := range []struct {
		name   string
		port   snapshot.ServicePort
		reason string
	}{
		{"protocol", snapshot.ServicePort{Name: "cache", Port: 6379, TargetPort: 6379}, "UnsupportedProtocol"},
		{"conflict", snapshot.ServicePort{Port: 81, TargetPort: 8080, Protocol: meshid.TCP}, "ProtocolConflict"},
		{"admin", snapshot.ServicePort{Port: 81, TargetPort: names.PortEnvoyAdmin, Protocol: meshid.HTTP}, "ReservedPort"},
		{"outbound", snapshot.ServicePort{Port: 81, TargetPort: names.PortOutbound, Protocol: meshid.TCP}, "ReservedPort"},
		{"inbound", snapshot.ServicePort{Port: 81, TargetPort: names.PortInbound, Protocol: meshid.TCP}, "ReservedPort"},
		{"metrics", snapshot.ServicePort{Port: 81, TargetPort: names.PortEnvoyMetrics, Protocol: meshid.HTTP}, "ReservedPort"},
		{"probe", snapshot.ServicePort{Port: 81, TargetPort: names.PortProbeReadiness, Protocol: meshid.HTTP}, "ReservedPort"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := world(nil, snapshot.ServicePort{Port: 80, TargetPort: 8080, Protocol: meshid.HTTP}, c.port)
			require.Len(t, p.Findings(), 1)
			require.Equal(t, c.reason, p.Findings()[0].Reason)
			require.Equal(t, "Service shop/web", p.Findings()[0].Object.String())
			require.Len(t, planOf(p, client).Outbound.Chains, 1)
			require.Len(t, planOf(p, server).Inbound.Chains, 1)
		})
	}
}

func TestPortsOfOneTargetShareAChain(t *testing.T) {
	p := world(nil, snapshot.ServicePort{Port: 80, TargetPort: 8080, Protocol: meshid.HTTP}, snapshot.ServicePort{Port: 81, TargetPort: 8080, Protocol: meshid.HTTP})
	require.Empty(t, p.Findings())
	in := planOf(p, server)
	require.Len(t, in.Inbound.Chains, 1)
	inbound := slices.DeleteFunc(in.RouteConfigs, func(rc ir.RouteConfig) bool { return !rc.Inbound })
	require.Len(t, inbound, 1)
	require.Subset(t, inbound[0].VirtualHosts[0].Hosts, []string{"web.shop", "web.shop:80", "web.shop:81"})
}

func TestServicesThatNobodyBacksAcceptNobody(t *testing.T) {
	p := world(func(p *snapshot.Parts) { p.Services[0].Selector = map[string]string{"app": "nobody"} }, snapshot.ServicePort{Port: 80, TargetPort: 80, Protocol: meshid.HTTP})
	got := planOf(p, client)
	require.Equal(t, []ir.Trust{{Secret: "root-cert-for-mtls-outbound"}}, got.Trusts)
	require.Len(t, got.Clusters, 1)
	require.Equal(t, []string{NobodysName}, got.Clusters[0].Accepted)
}

func TestClosedMesh(t *testing.T) {
	shut := func(p *snapshot.Parts) { p.Mesh.Permissive = false }
	p := world(shut, snapshot.ServicePort{Port: 80, TargetPort: 8080, Protocol: meshid.HTTP}, snapshot.ServicePort{Port: 90, TargetPort: 90, Protocol: meshid.TCP})
	require.Nil(t, planOf(p, client).Outbound, "with no listener the kernel refuses")
	require.Nil(t, planOf(p, client).Inbound)
	in := planOf(p, server).Inbound
	require.Len(t, in.Chains, 2)
	for _, c := range in.Chains {
		require.Equal(t, &ir.Access{Rules: []ir.NetworkRule{}}, c.Access, "a list without rules admits nobody; none would admit everybody")
		require.NotNil(t, c.MTLS)
	}
}
