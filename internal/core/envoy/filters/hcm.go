package filters

import (
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"openservicemesh.io/osm/internal/core/ir"
)

// NameConnectionManager is the network filter that speaks HTTP.
const NameConnectionManager = "envoy.filters.network.http_connection_manager"

const (
	statPrefixHTTP    = "mesh-http-conn-manager."
	statPrefixMetrics = "prometheus-http-conn-manager"
	// One connection may not make the proxy hold more than this many requests at once; a sidecar that needs more opens
	// another connection.
	maxConcurrentStreams = 1024
	// What a request's headers may take: Envoy's own defaults, said here so that no other default can widen them. Larger
	// ones are answered 431.
	maxHeadersKB = 60
	maxHeaders   = 100
)

func connectionManager(c ir.Chain, log ir.AccessLog) *listenerv3.Filter {
	m := &hcmv3.HttpConnectionManager{
		StatPrefix: statPrefixHTTP + c.RouteConfig,
		RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{
			ConfigSource: ADS(), RouteConfigName: c.RouteConfig}},
		HttpFilters:    HTTP(c),
		UpgradeConfigs: upgrades(),
		Http2ProtocolOptions: &corev3.Http2ProtocolOptions{
			MaxConcurrentStreams: wrapperspb.UInt32(maxConcurrentStreams), AllowConnect: true},
		HttpProtocolOptions: &corev3.Http1ProtocolOptions{AcceptHttp_10: true},
		// No address is trusted to set x-envoy-* headers: they would change how the proxy routes and retries.
		InternalAddressConfig: &hcmv3.HttpConnectionManager_InternalAddressConfig{},
		StripTrailingHostDot:  true,
		AccessLog:             accessLog(log),
		Tracing:               tracing(c.Tracing),
	}
	if c.Counted {
		m.AccessLog = append(m.AccessLog, requestStats())
	}
	boundHeaders(m)
	if c.MTLS != nil && c.Side == "" {
		// Sidecars speak HTTP/2 to each other. Left to find out, Envoy would go by ALPN, where "osm" is no HTTP version
		// it knows, and take every connection for HTTP/1.1.
		m.CodecType = hcmv3.HttpConnectionManager_HTTP2
	}
	if c.NormalizePaths {
		normalize(m)
	}
	return networkFilter(NameConnectionManager, m)
}

// boundHeaders limits what a client can make the proxy hold and judge for one request.
func boundHeaders(m *hcmv3.HttpConnectionManager) {
	m.MaxRequestHeadersKb = wrapperspb.UInt32(maxHeadersKB)
	m.CommonHttpProtocolOptions = &corev3.HttpProtocolOptions{MaxHeadersCount: wrapperspb.UInt32(maxHeaders)}
}

// upgradeTypes are the protocols that requests may switch to: WebSocket, and what Kubernetes and container engines stream
// terminals and forwarded ports over. Envoy has no word for any protocol; it answers 403 to those not listed.
var upgradeTypes = []string{"websocket", "spdy/3.1", "tcp"}

func upgrades() []*hcmv3.HttpConnectionManager_UpgradeConfig {
	var out []*hcmv3.HttpConnectionManager_UpgradeConfig
	for _, t := range upgradeTypes {
		out = append(out, &hcmv3.HttpConnectionManager_UpgradeConfig{UpgradeType: t})
	}
	return out
}

// normalize has the rules judge, and the application get, one canonical path. %2F and %5C are read as the separators
// that many servers take them for.
func normalize(m *hcmv3.HttpConnectionManager) {
	m.NormalizePath = wrapperspb.Bool(true)
	m.MergeSlashes = true
	m.PathWithEscapedSlashesAction = hcmv3.HttpConnectionManager_UNESCAPE_AND_FORWARD
}

// MetricsManager is the connection manager of the metrics listener, with its routes inside it; figures is whether one of them
// adds the application's.
func MetricsManager(routes *routev3.RouteConfiguration, figures bool) *listenerv3.Filter {
	m := &hcmv3.HttpConnectionManager{
		StatPrefix:            statPrefixMetrics,
		RouteSpecifier:        &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: routes},
		HttpFilters:           []*hcmv3.HttpFilter{router()},
		Http2ProtocolOptions:  &corev3.Http2ProtocolOptions{MaxConcurrentStreams: wrapperspb.UInt32(maxConcurrentStreams)},
		InternalAddressConfig: &hcmv3.HttpConnectionManager_InternalAddressConfig{},
	}
	if figures {
		m.HttpFilters = []*hcmv3.HttpFilter{addFigures(), router()}
	}
	boundHeaders(m)
	normalize(m)
	return networkFilter(NameConnectionManager, m)
}

func seconds(n int) *durationpb.Duration { return durationpb.New(time.Duration(n) * time.Second) }
