package bootstrap

import (
	"cmp"
	"maps"
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	tlsinspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/probe"
)

// ListenerReady answers 200 on names.PathSidecarReady as soon as Envoy serves at all, which is once its first clusters,
// listeners, routes and certificates have arrived.
const ListenerReady = "sidecar_ready_listener"

const (
	maxConcurrentStreams = 100
	maxHeaders           = 100
	maxHeadersKB         = 16
	idleMillis           = 60_000
	headersMillis        = 10_000
	connectMillis        = 1_000
)

func (e *encoder) readyListener(dual bool) *listenerv3.Listener {
	routes := []*routev3.Route{{
		Match: exactPath(names.PathSidecarReady),
		Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{
			Status: 200,
			Body:   &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: "ready\n"}},
		}},
	}}
	return &listenerv3.Listener{
		Name:         ListenerReady,
		Address:      wildcard(names.PortSidecarReady, dual),
		FilterChains: []*listenerv3.FilterChain{e.httpChain("sidecar_ready", routes, false)},
	}
}

// probes returns one listener for each port in use and one cluster for each target.
func (e *encoder) probes(c Config) ([]*listenerv3.Listener, []*clusterv3.Cluster) {
	byPort := map[uint16][]probe.Target{}
	clusters := make([]*clusterv3.Cluster, 0, len(c.Probes))
	for _, t := range c.Probes {
		byPort[t.ListenPort] = append(byPort[t.ListenPort], t)
		clusters = append(clusters, &clusterv3.Cluster{
			Name:                 probeCluster(t),
			ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
			ConnectTimeout:       durationMillis(connectMillis),
			LoadAssignment:       assignment(probeCluster(t), "127.0.0.1", t.Port),
		})
	}
	var listeners []*listenerv3.Listener
	for _, port := range slices.Sorted(maps.Keys(byPort)) {
		listeners = append(listeners, e.probeListener(port, byPort[port], c.DualStack))
	}
	return listeners, clusters
}

func (e *encoder) probeListener(port uint16, targets []probe.Target, dual bool) *listenerv3.Listener {
	l := &listenerv3.Listener{Name: probeListenerName(port, targets[0]), Address: wildcard(port, dual)}
	if targets[0].Mode == probe.GRPC {
		// The port is this probe's alone, so there is nothing to tell apart.
		l.FilterChains = []*listenerv3.FilterChain{e.passthroughChain(targets[0], "health_probes_grpc")}
		return l
	}
	var routes []*routev3.Route
	var passthrough *listenerv3.FilterChain
	for _, t := range targets {
		if t.Mode == probe.TLS {
			passthrough = e.passthroughChain(t, "health_probes_https")
			continue
		}
		routes = append(routes, probeRoute(t))
	}
	if passthrough == nil {
		l.FilterChains = []*listenerv3.FilterChain{e.httpChain(names.StatPrefixHTTPProbe, routes, true)}
		return l
	}
	// The first bytes tell HTTPS probes from HTTP ones on the port they share; with no HTTP probe, plaintext is refused.
	l.ListenerFilters = []*listenerv3.ListenerFilter{{
		Name:       "envoy.filters.listener.tls_inspector",
		ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: e.any(&tlsinspectorv3.TlsInspector{})},
	}}
	l.ListenerFiltersTimeout = durationMillis(5_000)
	passthrough.FilterChainMatch = &listenerv3.FilterChainMatch{TransportProtocol: "tls"}
	l.FilterChains = []*listenerv3.FilterChain{passthrough}
	if len(routes) > 0 {
		http := e.httpChain(names.StatPrefixHTTPProbe, routes, true)
		http.FilterChainMatch = &listenerv3.FilterChainMatch{TransportProtocol: "raw_buffer"}
		l.FilterChains = append(l.FilterChains, http)
	}
	return l
}

func probeRoute(t probe.Target) *routev3.Route {
	return &routev3.Route{
		Match: exactPath(t.ListenPath),
		Action: &routev3.Route_Route{Route: &routev3.RouteAction{
			ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: probeCluster(t)},
			PrefixRewrite:    t.Path,
			Timeout:          durationpb.New(t.Timeout),
		}},
		// The kubelet would follow a redirect to a path that is not served here and count the 404 as a failure. A
		// redirect without a location counts as the success it was.
		ResponseHeadersToRemove: []string{"location"},
	}
}

func (e *encoder) passthroughChain(t probe.Target, stat string) *listenerv3.FilterChain {
	return &listenerv3.FilterChain{Filters: []*listenerv3.Filter{{
		Name: "envoy.filters.network.tcp_proxy",
		ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: e.any(&tcpproxyv3.TcpProxy{
			StatPrefix:       stat,
			ClusterSpecifier: &tcpproxyv3.TcpProxy_Cluster{Cluster: probeCluster(t)},
			IdleTimeout:      durationMillis(idleMillis),
		})},
	}}}
}

// httpChain is a connection manager that believes nothing it is told: paths are normalised before they are matched,
// every match is exact, no address counts as internal, and sizes and streams are limited.
func (e *encoder) httpChain(stat string, routes []*routev3.Route, forward bool) *listenerv3.FilterChain {
	h := &hcmv3.HttpConnectionManager{
		StatPrefix: stat,
		RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{
			Name:             stat,
			ValidateClusters: wrapperspb.Bool(forward),
			VirtualHosts:     []*routev3.VirtualHost{{Name: stat, Domains: []string{"*"}, Routes: routes}},
		}},
		HttpFilters: []*hcmv3.HttpFilter{{
			Name:       "envoy.filters.http.router",
			ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: e.any(&routerv3.Router{SuppressEnvoyHeaders: true})},
		}},
		UseRemoteAddress:             wrapperspb.Bool(true),
		SkipXffAppend:                true,
		InternalAddressConfig:        &hcmv3.HttpConnectionManager_InternalAddressConfig{},
		GenerateRequestId:            wrapperspb.Bool(false),
		NormalizePath:                wrapperspb.Bool(true),
		MergeSlashes:                 true,
		PathWithEscapedSlashesAction: hcmv3.HttpConnectionManager_REJECT_REQUEST,
		MaxRequestHeadersKb:          u32(maxHeadersKB),
		RequestHeadersTimeout:        durationMillis(headersMillis),
		CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{
			IdleTimeout: durationMillis(idleMillis), MaxHeadersCount: u32(maxHeaders),
			HeadersWithUnderscoresAction: corev3.HttpProtocolOptions_ALLOW,
		},
		Http2ProtocolOptions: &corev3.Http2ProtocolOptions{
			MaxConcurrentStreams:        u32(maxConcurrentStreams),
			InitialStreamWindowSize:     u32(64 << 10),
			InitialConnectionWindowSize: u32(1 << 20),
		},
	}
	return &listenerv3.FilterChain{Filters: []*listenerv3.Filter{{
		Name:       "envoy.filters.network.http_connection_manager",
		ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: e.any(h)},
	}}}
}

func exactPath(p string) *routev3.RouteMatch {
	return &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Path{Path: p}}
}

func probeCluster(t probe.Target) string { return t.Container + "_" + string(t.Kind) + "_cluster" }

// probeListenerName keeps the names users know for the shared ports; a port of its own is named after its probe.
func probeListenerName(port uint16, t probe.Target) string {
	shared := map[uint16]string{
		names.PortProbeLiveness:  names.ListenerLiveness,
		names.PortProbeReadiness: names.ListenerReadiness,
		names.PortProbeStartup:   names.ListenerStartup,
	}
	return cmp.Or(shared[port], t.Container+"_"+string(t.Kind)+"_listener")
}
