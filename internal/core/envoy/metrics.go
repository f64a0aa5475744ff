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
// one, by GET, and is judged after normalisation, so that no detour leads from it to another admin page. The application's
// own page, if it has one, is asked for by the proxy, whatever the request says.
func (t *translator) metrics(p ir.Proxy) {
	l := listener(names.ListenerMetrics, names.PortEnvoyMetrics, p.IPv6)
	l.TrafficDirection = corev3.TrafficDirection_INBOUND
	// A sidecar whose memory is full turns calls away, which is just when its figures are wanted.
	l.BypassOverloadManager = true
	route := &routev3.Route{
		Match: &routev3.RouteMatch{
			PathSpecifier: &routev3.RouteMatch_Path{Path: names.PathPrometheusStats},
			Headers:       filters.HeaderMatchers(ir.RouteMatch{Method: "GET"}),
		},
		Action: &routev3.Route_Route{Route: &routev3.RouteAction{
			ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: names.ClusterMetrics}}},
		// Envoy has other formats than the text that figures can be added to, and says less of the text than Prometheus asks.
		RequestHeadersToAdd:  []*corev3.HeaderValueOption{overwrite("accept", "text/plain")},
		ResponseHeadersToAdd: []*corev3.HeaderValueOption{overwrite("content-type", "text/plain; version=0.0.4; charset=utf-8")},
	}
	refs := []Ref{{Cluster, names.ClusterMetrics}}
	if p.Application != (ir.MetricsSource{}) {
		route.TypedPerFilterConfig = filters.FiguresOf(p.Application, names.ClusterOwnMetrics)
		refs = append(refs, Ref{Cluster, names.ClusterOwnMetrics})
	}
	routes := &routev3.RouteConfiguration{
		Name:         names.ListenerMetrics,
		VirtualHosts: []*routev3.VirtualHost{{Name: names.ListenerMetrics, Domains: []string{"*"}, Routes: []*routev3.Route{route}}},
	}
	l.FilterChains = []*listenerv3.FilterChain{{
		Name: names.ListenerMetrics, Filters: []*listenerv3.Filter{filters.MetricsManager(routes, p.Application != (ir.MetricsSource{}))}}}
	t.add(Listener, l.Name, l, refs...)
}

func overwrite(header, value string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header: &corev3.HeaderValue{Key: header, Value: value}, AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD}
}
