package envoy

import (
	"net/netip"
	"slices"
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
)

// proxy serves one HTTP port and calls one.
func proxy() ir.Proxy {
	target := []ir.Target{{Cluster: "a/b|80|local", Weight: 100}}
	return ir.Proxy{
		Identity: meshid.Identity{Namespace: "ns", ServiceAccount: "sa"}, TrustDomain: "td",
		Outbound: &ir.Listener{Passthrough: true, Chains: []ir.Chain{{Name: "out", Match: ir.ChainMatch{Port: 80, Addresses: []string{"10.0.0.1", "fd00::1"}}, Protocol: meshid.HTTP, RouteConfig: "rds-out"}}},
		Inbound: &ir.Listener{Chains: []ir.Chain{{Name: "in", Match: ir.ChainMatch{Port: 80, ServerNames: []string{"sni"}}, Protocol: meshid.HTTP, RouteConfig: "rds-in",
			MTLS: &ir.MTLS{CertSecret: "cert", TrustSecret: "trust-in"}, Access: &ir.Access{}}}},
		RouteConfigs: []ir.RouteConfig{
			{Name: "rds-in", Inbound: true, VirtualHosts: []ir.VirtualHost{{Name: "v", Hosts: []string{"h"}, Access: &ir.HTTPAccess{},
				Routes: []ir.Route{{Match: ir.RouteMatch{Headers: []ir.HeaderMatch{{Name: "x-a-b", Regex: "1"}, {Name: ":authority", Regex: "h"}}}, Targets: target}}}}},
			{Name: "rds-out", VirtualHosts: []ir.VirtualHost{{Name: "v", Hosts: []string{"h"}, Routes: []ir.Route{{Targets: []ir.Target{{Cluster: "mesh", Weight: 1}}}}}}},
		},
		Clusters: []ir.Cluster{
			{Name: "a/b|80|local", Kind: ir.Local, Protocol: meshid.HTTP, Port: 80}, {Name: "a/b|80|local|h2", Kind: ir.Local, Protocol: meshid.HTTP, Port: 80, HTTP2Local: true},
			{Name: "mesh", Kind: ir.Mesh, Protocol: meshid.HTTP, ServerName: "sni", CertSecret: "cert", TrustSecret: "trust-out", Accepted: []string{"sa.ns.td"}},
			{Name: names.ClusterPassthrough, Kind: ir.OriginalDst},
		},
		Trusts: []ir.Trust{{Secret: "trust-in"}, {Secret: "trust-out"}},
	}
}

func TestTranslateIsRepeatable(t *testing.T) {
	first, err := Translate(proxy(), Bundle("roots"))
	require.NoError(t, err)
	for range 10 {
		again, err := Translate(proxy(), Bundle("roots"))
		require.NoError(t, err)
		require.Equal(t, first.Version, again.Version)
	}
	other, err := Translate(proxy(), Bundle("other roots"))
	require.NoError(t, err)
	require.NotEqual(t, first.Version, other.Version)
}

// TestClustersNarrowTheSharedTrust: the root is the secret's, who may answer is the cluster's.
func TestClustersNarrowTheSharedTrust(t *testing.T) {
	p := proxy()
	m := &tlsv3.UpstreamTlsContext{}
	require.NoError(t, upstreamTLS(p.Clusters[2], p.TLS).GetTypedConfig().UnmarshalTo(m))
	both := m.CommonTlsContext.GetCombinedValidationContext()
	require.Equal(t, "trust-out", both.ValidationContextSdsSecretConfig.Name)
	require.Len(t, both.DefaultValidationContext.MatchTypedSubjectAltNames, 1)
	require.Equal(t, "sa.ns.td", both.DefaultValidationContext.MatchTypedSubjectAltNames[0].GetMatcher().GetExact())
	require.Nil(t, both.DefaultValidationContext.TrustedCa)
}

func TestReferences(t *testing.T) {
	set, err := Translate(proxy(), Bundle("roots"))
	require.NoError(t, err)
	for _, c := range []struct {
		typ  TypeURL
		name string
		want []Ref
	}{
		{Listener, names.ListenerOutbound, []Ref{{Cluster, names.ClusterPassthrough}, {Route, "rds-out"}}},
		{Listener, names.ListenerInbound, []Ref{{Route, "rds-in"}, {Secret, "cert"}, {Secret, "trust-in"}}},
		{Route, "rds-in", []Ref{{Cluster, "a/b|80|local"}, {Cluster, "a/b|80|local|h2"}}},
		{Route, "rds-out", []Ref{{Cluster, "mesh"}}},
		{Cluster, "mesh", []Ref{{Endpoint, "mesh"}, {Secret, "cert"}, {Secret, "trust-out"}}},
		{Cluster, "a/b|80|local", nil},
	} {
		require.Equal(t, c.want, set.Get(c.typ, c.name).Refs, c.name)
	}
	require.Nil(t, set.Get(Route, "nope"))
	require.Empty(t, set.List(Endpoint), "endpoints travel in a lane of their own")
}

func TestNothingToListenFor(t *testing.T) {
	p := proxy()
	p.Outbound, p.Inbound = nil, nil
	set, err := Translate(p, nil)
	require.NoError(t, err)
	require.Empty(t, set.List(Listener))
}

// TestHeadersBetweenSidecars: the caller's sidecar overwrites what it tells the server's, and the application never sees
// it, nor a look-alike of a header that was judged.
func TestHeadersBetweenSidecars(t *testing.T) {
	set, err := Translate(proxy(), nil)
	require.NoError(t, err)
	in, out := &routev3.RouteConfiguration{}, &routev3.RouteConfiguration{}
	require.NoError(t, set.Get(Route, "rds-in").Body().UnmarshalTo(in))
	require.NoError(t, set.Get(Route, "rds-out").Body().UnmarshalTo(out))
	require.Equal(t, append(slices.Clone(untrusted), names.HeaderDownstreamProtocol), in.RequestHeadersToRemove)
	require.Equal(t, []string{"x-a_b", "x_a-b", "x_a_b"}, in.VirtualHosts[0].RequestHeadersToRemove)
	require.Empty(t, in.RequestHeadersToAdd)
	require.Equal(t, untrusted, out.RequestHeadersToRemove)
	require.Len(t, out.RequestHeadersToAdd, 1)
	require.Empty(t, out.VirtualHosts[0].RequestHeadersToRemove)
	require.NotNil(t, in.VirtualHosts[0].TypedPerFilterConfig["envoy.filters.http.rbac"], "rules without a rule admit nobody")
	require.Nil(t, out.VirtualHosts[0].TypedPerFilterConfig)
	require.Len(t, in.VirtualHosts[0].Routes, 2, "one for callers that speak HTTP/2, before the one for the others")
	require.Equal(t, "a/b|80|local|h2", in.VirtualHosts[0].Routes[0].GetRoute().GetCluster())
}

func TestUnderscored(t *testing.T) {
	require.Empty(t, underscored("host"))
	require.Equal(t, []string{"x_a"}, underscored("x-a"))
	require.Len(t, underscored("a-b-c-d-e"), 15)
	require.Equal(t, []string{"a_b_c_d_e_f"}, underscored("a-b-c-d-e-f"))
}

func TestAddresses(t *testing.T) {
	p := proxy()
	p.IPv6 = true
	set, err := Translate(p, nil)
	require.NoError(t, err)
	l := &listenerv3.Listener{}
	require.NoError(t, set.Get(Listener, names.ListenerOutbound).Body().UnmarshalTo(l))
	require.Equal(t, "::", l.AdditionalAddresses[0].Address.GetSocketAddress().Address)
	ranges := l.FilterChains[0].FilterChainMatch.PrefixRanges
	require.Equal(t, wrapperspb.UInt32(32).Value, ranges[0].PrefixLen.Value)
	require.Equal(t, wrapperspb.UInt32(128).Value, ranges[1].PrefixLen.Value)
}

func TestLoadAssignment(t *testing.T) {
	none, err := LoadAssignment("c", nil)
	require.NoError(t, err)
	one, err := LoadAssignment("c", []Address{{AddrPort: netip.MustParseAddrPort("[fd00::1]:80")}})
	require.NoError(t, err)
	require.NotEqual(t, none.Version, one.Version)
	require.Equal(t, Endpoint, one.Type)
	require.Equal(t, "c", one.Name)
}

func TestServiceCertKeepsItsCallersVersion(t *testing.T) {
	r, err := ServiceCert("service-cert:ns/sa", "v7", []byte("chain"), []byte("key"))
	require.NoError(t, err)
	require.Equal(t, "v7", r.Version)
}

func TestResourcesDoNotDependOnOrder(t *testing.T) {
	a, err := LoadAssignment("a", nil)
	require.NoError(t, err)
	b, err := LoadAssignment("b", nil)
	require.NoError(t, err)
	require.Equal(t, NewResources([]*Resource{a, b}), NewResources([]*Resource{b, a}))
	require.Equal(t, []*Resource{a, b}, NewResources([]*Resource{b, a}).List(Endpoint))
}

// TestOnDemandIsNoPartOfTheVersion: a proxy that has a cluster need not be sent it when it is on demand from now on.
func TestOnDemandIsNoPartOfTheVersion(t *testing.T) {
	p := proxy()
	memory := NewMemory()
	before, err := memory.Translate(p, Bundle("roots"), nil)
	require.NoError(t, err)
	p.Clusters[2].OnDemand = true
	after, err := memory.Translate(p, Bundle("roots"), before)
	require.NoError(t, err)
	was, is := before.Get(Cluster, "mesh"), after.Get(Cluster, "mesh")
	require.False(t, was.OnDemand)
	require.True(t, is.OnDemand)
	require.Equal(t, was.Version, is.Version)
	require.Equal(t, was.Body().Value, is.Body().Value)
	require.NotEqual(t, before.Version, after.Version)
	require.Same(t, before.Get(Cluster, "a/b|80|local"), after.Get(Cluster, "a/b|80|local"))
}
