package pipeline

import (
	"slices"
	"strings"
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	httprbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	netrbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/rbac/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/envoy/filters"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/testkit/deltaclient"
)

// everyChain calls check for each filter chain that is generated for any proxy of any case. routes is the route config of
// an HTTP chain, else nil.
func everyChain(t *testing.T, check func(t *testing.T, at string, l *listenerv3.Listener, c *listenerv3.FilterChain, routes *routev3.RouteConfiguration)) {
	t.Helper()
	n := 0
	for _, name := range caseNames(t) {
		w := newWorld(t, readCase(t, name))
		for _, p := range w.mesh.Proxies() {
			set := w.view.Config(p.Key)
			for _, r := range set.List(envoy.Listener) {
				l := &listenerv3.Listener{}
				require.NoError(t, r.Body().UnmarshalTo(l))
				chains := l.FilterChains
				if l.DefaultFilterChain != nil {
					chains = append(chains, l.DefaultFilterChain)
				}
				for _, c := range chains {
					n++
					check(t, strings.Join([]string{name, p.Identity().String(), l.Name, c.Name}, " "), l, c, routesOf(t, set, c))
				}
			}
		}
	}
	require.Greater(t, n, 500)
}

// filterOf returns the first network filter of type M, or nil.
func filterOf[M any, P interface {
	*M
	proto.Message
}](t *testing.T, c *listenerv3.FilterChain) P {
	t.Helper()
	m := P(new(M))
	for _, f := range c.Filters {
		if f.GetTypedConfig().MessageIs(m) {
			require.NoError(t, f.GetTypedConfig().UnmarshalTo(m))
			return m
		}
	}
	return nil
}

func routesOf(t *testing.T, set *envoy.Resources, c *listenerv3.FilterChain) *routev3.RouteConfiguration {
	t.Helper()
	m := filterOf[hcmv3.HttpConnectionManager](t, c)
	if m == nil || m.GetRouteConfig() != nil {
		return m.GetRouteConfig()
	}
	r := set.Get(envoy.Route, m.GetRds().GetRouteConfigName())
	require.NotNil(t, r, m.GetRds().GetRouteConfigName())
	rc := &routev3.RouteConfiguration{}
	require.NoError(t, r.Body().UnmarshalTo(rc))
	return rc
}

// TestEveryConnectionManagerIsBounded: no generated connection manager lets a client make the proxy hold what it likes, or
// believes what a client says about where it comes from.
func TestEveryConnectionManagerIsBounded(t *testing.T) {
	managers := 0
	everyChain(t, func(t *testing.T, at string, _ *listenerv3.Listener, c *listenerv3.FilterChain, _ *routev3.RouteConfiguration) {
		m := filterOf[hcmv3.HttpConnectionManager](t, c)
		if m == nil {
			return
		}
		managers++
		within := func(what string, got, most uint32) {
			require.True(t, got > 0 && got <= most, "%s: %s is %d", at, what, got)
		}
		within("http2_protocol_options.max_concurrent_streams", m.GetHttp2ProtocolOptions().GetMaxConcurrentStreams().GetValue(), 1024)
		within("max_request_headers_kb", m.GetMaxRequestHeadersKb().GetValue(), 60)
		within("common_http_protocol_options.max_headers_count", m.GetCommonHttpProtocolOptions().GetMaxHeadersCount().GetValue(), 100)
		require.NotNil(t, m.InternalAddressConfig, at)
		require.Empty(t, m.InternalAddressConfig.CidrRanges, at)
		require.False(t, m.InternalAddressConfig.UnixSockets, at)
		require.Equal(t, hcmv3.HttpConnectionManager_SANITIZE, m.ForwardClientCertDetails, at)
	})
	require.Greater(t, managers, 300)
}

// TestRulesAboutPathsJudgeWhatIsForwarded: wherever a route or rule looks at a path, paths are made canonical first.
func TestRulesAboutPathsJudgeWhatIsForwarded(t *testing.T) {
	judged := 0
	everyChain(t, func(t *testing.T, at string, _ *listenerv3.Listener, c *listenerv3.FilterChain, rc *routev3.RouteConfiguration) {
		if rc == nil || !judgesPaths(t, rc) || c.Name == "" || strings.HasPrefix(c.Name, "outbound_") {
			// Outbound routes of the mesh choose a backend, which judges for itself.
			return
		}
		judged++
		m := filterOf[hcmv3.HttpConnectionManager](t, c)
		require.True(t, m.NormalizePath.GetValue(), at)
		require.True(t, m.MergeSlashes, at)
		require.Equal(t, hcmv3.HttpConnectionManager_UNESCAPE_AND_FORWARD, m.PathWithEscapedSlashesAction, at)
	})
	require.Greater(t, judged, 50)
}

func judgesPaths(t *testing.T, rc *routev3.RouteConfiguration) bool {
	for _, v := range rc.VirtualHosts {
		if httpRules(t, v) != nil {
			return true
		}
		if slices.ContainsFunc(v.Routes, func(r *routev3.Route) bool { return r.Match.GetPrefix() != "/" }) {
			return true
		}
	}
	return false
}

// httpRules are the rules on a virtual host, or nil.
func httpRules(t *testing.T, v *routev3.VirtualHost) *rbacv3.RBAC {
	t.Helper()
	a := v.TypedPerFilterConfig[filters.NameHTTPRBAC]
	if a == nil {
		return nil
	}
	m := &httprbacv3.RBACPerRoute{}
	require.NoError(t, a.UnmarshalTo(m))
	return m.GetRbac().GetRules()
}

// TestIdentityRulesStandBehindTLS: a rule about who calls is only ever asked of callers who had to show a certificate, and
// names an identity as it stands, never by a pattern. Plaintext is taken by ingress chains alone.
func TestIdentityRulesStandBehindTLS(t *testing.T) {
	judged, plain := 0, 0
	everyChain(t, func(t *testing.T, at string, l *listenerv3.Listener, c *listenerv3.FilterChain, rc *routev3.RouteConfiguration) {
		rules := []*rbacv3.RBAC{filterOf[netrbacv3.RBAC](t, c).GetRules()}
		for _, v := range rc.GetVirtualHosts() {
			rules = append(rules, httpRules(t, v))
		}
		rules = slices.DeleteFunc(rules, func(r *rbacv3.RBAC) bool { return r == nil })
		if l.Name != names.ListenerInbound {
			require.Empty(t, rules, at)
			return
		}
		if c.TransportSocket == nil {
			plain++
			require.True(t, strings.HasPrefix(c.Name, "ingress_"), at)
			require.Equal(t, "raw_buffer", c.FilterChainMatch.TransportProtocol, at)
			require.Empty(t, rules, at)
			return
		}
		socket := &tlsv3.DownstreamTlsContext{}
		require.NoError(t, c.TransportSocket.GetTypedConfig().UnmarshalTo(socket))
		asked := socket.RequireClientCertificate.GetValue() && socket.CommonTlsContext.GetValidationContextSdsSecretConfig() != nil
		require.True(t, asked || strings.HasPrefix(c.Name, "ingress_"), at)
		for _, r := range rules {
			judged++
			require.True(t, asked, "%s: rules about identities without a certificate", at)
			require.Equal(t, rbacv3.RBAC_ALLOW, r.Action, at)
			for name, p := range r.Policies {
				for _, who := range p.Principals {
					requireExact(t, at+" "+name, who)
				}
			}
		}
	})
	require.Greater(t, judged, 100)
	require.Positive(t, plain)
}

// requireExact wants a principal to be one certificate name, or nobody.
func requireExact(t *testing.T, at string, p *rbacv3.Principal) {
	t.Helper()
	if p.GetNotId() != nil {
		require.True(t, p.GetNotId().GetAny(), at)
		return
	}
	require.NotEmpty(t, p.GetAuthenticated().GetPrincipalName().GetExact(), at)
}

// TestClustersOnDemandAreFetched: whatever leads to a cluster that the sidecar is not given beforehand has it fetched.
func TestClustersOnDemandAreFetched(t *testing.T) {
	fetched := 0
	for _, name := range caseNames(t) {
		w := newWorld(t, readCase(t, name))
		for _, p := range w.mesh.Proxies() {
			set := w.view.Config(p.Key)
			for _, r := range set.List(envoy.Listener) {
				l := &listenerv3.Listener{}
				require.NoError(t, r.Body().UnmarshalTo(l))
				for _, c := range l.FilterChains {
					refs, err := deltaclient.Refs(filters.Any(c))
					require.NoError(t, err)
					if routes := routesOf(t, set, c); routes != nil {
						more, err := deltaclient.Refs(filters.Any(routes))
						require.NoError(t, err)
						refs = append(refs, more...)
					}
					for _, ref := range refs {
						if target := set.Get(envoy.Cluster, ref.Name); target != nil && target.OnDemand {
							fetched++
							require.True(t, fetches(t, c), "%s %s %s", name, c.Name, ref.Name)
						}
					}
				}
			}
		}
	}
	require.Greater(t, fetched, 5)
}

func fetches(t *testing.T, c *listenerv3.FilterChain) bool {
	t.Helper()
	if m := filterOf[hcmv3.HttpConnectionManager](t, c); m != nil {
		return m.HttpFilters[0].Name == filters.NameOnDemand
	}
	return filterOf[tcpv3.TcpProxy](t, c).GetOnDemand() != nil
}
