package envoy

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"openservicemesh.io/osm/internal/core/envoy/filters"
	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/names"
)

// metrics lets Prometheus read the statistics and nothing else of the admin interface: the path must be exactly that
// one, by GET, and is judged after normalisation, so that no detour leads from it to another admin page.
func (t *translator) metrics(p ir.Proxy) {
	l := listener(names.ListenerMetrics, names.PortEnvoyMetrics, p.IPv6)
	l.TrafficDirection = corev3.TrafficDirection_INBOUND
	routes := &routev3.RouteConfiguration{
		Name: names.ListenerMetrics,
		VirtualHosts: []*routev3.VirtualHost{{
			Name: names.ListenerMetrics, Domains: []string{"*"},
			Routes: []*routev3.Route{{
				Match: &routev3.RouteMatch{
					PathSpecifier: &routev3.RouteMatch_Path{Path: names.PathPrometheusStats},
					Headers:       filters.HeaderMatchers(ir.RouteMatch{Method: "GET"}),
				},
				Action: &routev3.Route_Route{Route: &routev3.RouteAction{
					ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: names.ClusterMetrics}}},
			}},
		}},
	}
	l.FilterChains = []*listenerv3.FilterChain{{
		Name: names.ListenerMetrics, Filters: []*listenerv3.Filter{filters.MetricsManager(routes)}}}
	t.add(Listener, l.Name, l, Ref{Cluster, names.ClusterMetrics})
}
