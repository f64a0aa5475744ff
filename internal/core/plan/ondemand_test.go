package plan

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	policyv1 "openservicemesh.io/osm/api/policy/v1alpha1"
	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// crowd is world with n services of one HTTP port, "web" among them.
func crowd(n int, mode snapshot.ClusterDiscovery, more func(*snapshot.Parts)) *Planner {
	http := snapshot.ServicePort{Port: 80, TargetPort: 8080, Protocol: meshid.HTTP}
	return world(func(p *snapshot.Parts) {
		p.Mesh.Clusters = mode
		for i := range n - 1 {
			p.Services = append(p.Services, &snapshot.Service{ID: meshid.Service{Namespace: "shop", Name: fmt.Sprint("more-", i)},
				ClusterIPs: []netip.Addr{netip.AddrFrom4([4]byte{10, 2, byte(i >> 8), byte(i)})}, Ports: []snapshot.ServicePort{http}})
		}
		if more != nil {
			more(p)
		}
	}, http)
}

// onDemand counts the clusters and the chains of a plan that are on demand, and those that are not.
func onDemand(p ir.Proxy) (clusters, chains [2]int) {
	at := func(on bool) int {
		if on {
			return 1
		}
		return 0
	}
	for _, c := range p.Clusters {
		if c.Kind == ir.Mesh {
			clusters[at(c.OnDemand)]++
		}
	}
	for _, c := range p.Outbound.Chains {
		chains[at(c.OnDemand)]++
	}
	return clusters, chains
}

func TestManyClustersAreOnDemand(t *testing.T) {
	for _, c := range []struct {
		mode             snapshot.ClusterDiscovery
		services         int
		clusters, chains [2]int
	}{
		{snapshot.ClustersAuto, maxPreloaded, [2]int{maxPreloaded, 0}, [2]int{0, maxPreloaded}},
		{snapshot.ClustersAuto, maxPreloaded + 1, [2]int{0, maxPreloaded + 1}, [2]int{0, maxPreloaded + 1}},
		{snapshot.ClustersOnDemand, 2, [2]int{0, 2}, [2]int{0, 2}},
		{snapshot.ClustersPreloaded, maxPreloaded + 1, [2]int{maxPreloaded + 1, 0}, [2]int{maxPreloaded + 1, 0}},
	} {
		for _, pod := range []int{client, server} {
			clusters, chains := onDemand(planOf(crowd(c.services, c.mode, nil), pod))
			require.Equal(t, c.clusters, clusters, "%s %d", c.mode, c.services)
			require.Equal(t, c.chains, chains, "%s %d", c.mode, c.services)
		}
	}
}

// How many services there are changes no chain of another: its connections would end.
func TestChainsAreTheSameHoweverManyClusters(t *testing.T) {
	few, many := planOf(crowd(2, snapshot.ClustersAuto, nil), client), planOf(crowd(maxPreloaded+1, snapshot.ClustersAuto, nil), client)
	for _, c := range few.Outbound.Chains {
		require.Contains(t, many.Outbound.Chains, c)
	}
}

func TestOnlyCallsFetchClusters(t *testing.T) {
	p := planOf(crowd(3, snapshot.ClustersOnDemand, func(p *snapshot.Parts) {
		p.Mesh.Egress = true
		setting := &policyv1.UpstreamTrafficSetting{Spec: policyv1.UpstreamTrafficSettingSpec{
			Host: "web.shop.svc.cluster.local", Mirror: &policyv1.MirrorSpec{Service: "more-0"}}}
		setting.Namespace, setting.Name = "shop", "web"
		p.Policies = snapshot.NewPolicies(map[string][]snapshot.Object{"UpstreamTrafficSetting": {setting}})
	}), server)
	got := map[string]bool{}
	for _, c := range p.Clusters {
		got[c.Name] = c.OnDemand
	}
	require.Equal(t, map[string]bool{
		"shop/web|8080": true, "shop/more-1|8080": true,
		"shop/more-0|8080":     false, // gets copies, which do not wait
		"passthrough-outbound": false, "shop/web|8080|local": false, "shop/web|8080|local|h2": false, "envoy-metrics-cluster": false,
	}, got)
	for _, c := range p.Inbound.Chains {
		require.False(t, c.OnDemand, c.Name)
	}
}
