package plan

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	access "openservicemesh.io/osm/api/smi/access/v1alpha3"
	specs "openservicemesh.io/osm/api/smi/specs/v1alpha4"
	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/snapshot"
)

var db = snapshot.ServicePort{Name: "tcp-db", Port: 5432, TargetPort: 5432, Protocol: meshid.TCP}

// set makes the service headless, with a named endpoint, one without a name, and a named one that is no pod of it.
func set(p *snapshot.Parts) {
	p.Services[0].Headless, p.Services[0].ClusterIPs = true, nil
	p.Pods = append(p.Pods, &snapshot.Pod{ID: meshid.Pod{Namespace: "shop", Name: "web7", UID: "7"}, Labels: p.Pods[0].Labels,
		Identity: meshid.Identity{Namespace: "shop", ServiceAccount: "other"}, IPs: []netip.Addr{netip.MustParseAddr("10.1.0.7")}})
	at := func(ip, host string, pod meshid.Pod) snapshot.Endpoint {
		return snapshot.Endpoint{Addr: netip.MustParseAddrPort(ip + ":5432"), Hostname: host, Pod: pod}
	}
	p.Endpoints[meshid.ServicePort{Service: p.Services[0].ID, Port: 5432}] = []snapshot.Endpoint{
		at("10.1.0.1", "web-0", p.Pods[0].ID), at("10.1.0.7", "", p.Pods[2].ID), at("10.1.0.8", "web-1", p.Pods[2].ID),
	}
}

func about(service string) ir.About {
	return ir.About{Service: meshid.Service{Namespace: "shop", Name: service}}
}

func TestNamedPodsHaveChainsOfTheirOwn(t *testing.T) {
	got := planOf(world(set, db), client)
	require.Equal(t, []ir.Chain{
		{Name: "outbound_shop/web-0.web_5432_tcp", About: about("web-0.web"), Match: ir.ChainMatch{Port: 5432, Addresses: []string{"10.1.0.1"}}, Protocol: meshid.TCP,
			TCP: []ir.Target{{Cluster: "shop/web-0.web|5432", Weight: 100}}, OnDemand: true},
		{Name: "outbound_shop/web_5432_tcp", About: about("web"), Match: ir.ChainMatch{Port: 5432, Addresses: []string{"10.1.0.7"}}, Protocol: meshid.TCP,
			TCP: []ir.Target{{Cluster: "shop/web|5432", Weight: 100}}, OnDemand: true},
	}, got.Outbound.Chains)
	names, accepted := map[string]string{}, map[string][]string{}
	for _, c := range got.Clusters {
		names[c.Name], accepted[c.Name] = c.ServerName, c.Accepted
	}
	require.Equal(t, map[string]string{
		"shop/web-0.web|5432": "web-0.web.shop.svc.cluster.local",
		"shop/web|5432":       "web.shop.svc.cluster.local",
	}, names)
	require.Equal(t, map[string][]string{
		"shop/web-0.web|5432": {"web.shop.td"},
		"shop/web|5432":       {"other.shop.td", "web.shop.td"},
	}, accepted, "a named pod is known by its own account alone")
	require.Equal(t, []string{"*.web.shop.svc.cluster.local", "web.shop.svc.cluster.local"},
		planOf(world(set, db), server).Inbound.Chains[0].Match.ServerNames)
}

// TestTheHandshakeRefusesWhomTheRulesRefuse: a server that speaks first is not heard by who may not connect.
func TestTheHandshakeRefusesWhomTheRulesRefuse(t *testing.T) {
	closed := func(p *snapshot.Parts) { p.Mesh.Permissive = false }
	open := func(p *snapshot.Parts) {
		closed(p)
		o := &access.TrafficTarget{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "t"}}
		o.Spec.Destination = access.IdentityBindingSubject{Kind: access.KindServiceAccount, Name: "web", Namespace: "shop"}
		o.Spec.Sources = []access.IdentityBindingSubject{{Kind: access.KindServiceAccount, Name: "c", Namespace: "client"}}
		o.Spec.Rules = []access.TrafficTargetRule{{Kind: access.KindTCPRoute, Name: "r"}}
		p.Policies = snapshot.NewPolicies(map[string][]snapshot.Object{"TrafficTarget": {o}, "TCPRoute": {tcpRoute("shop", "r", 5432)}})
	}
	for _, c := range []struct {
		name   string
		change func(*snapshot.Parts)
		port   snapshot.ServicePort
		secret string
		names  []string
	}{
		{"permissive", nil, db, "root-cert-for-mtls-inbound:shop/web", nil},
		{"closed", closed, db, "root-cert-for-mtls-inbound:shop/web|5432", []string{NobodysName}},
		{"open", open, db, "root-cert-for-mtls-inbound:shop/web|5432", []string{"c.client.td"}},
		{"open for another port", open, snapshot.ServicePort{Port: 5433, TargetPort: 5433, Protocol: meshid.TCPServerFirst},
			"root-cert-for-mtls-inbound:shop/web|5433", []string{NobodysName}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := planOf(world(c.change, c.port), server)
			require.Equal(t, c.secret, got.Inbound.Chains[0].MTLS.TrustSecret)
			var trusts []string
			for _, trust := range got.Trusts {
				if trust.Secret == c.secret {
					trusts = append(trusts, trust.Names...)
				}
			}
			require.Equal(t, c.names, trusts)
		})
	}
}

func tcpRoute(namespace, name string, ports ...int) *specs.TCPRoute {
	return &specs.TCPRoute{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: specs.TCPRouteSpec{Matches: specs.TCPMatch{Ports: ports}}}
}
