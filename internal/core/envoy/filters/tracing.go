package filters

import (
	tracev3 "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"openservicemesh.io/osm/internal/core/ir"
)

// NameZipkin is the tracer.
const NameZipkin = "envoy.tracers.zipkin"

// tracing sends a span for every request; a caller that says in its headers not to sample is heard.
func tracing(t *ir.Tracing) *hcmv3.HttpConnectionManager_Tracing {
	if t == nil {
		return nil
	}
	return &hcmv3.HttpConnectionManager_Tracing{
		Verbose: true,
		Provider: &tracev3.Tracing_Http{Name: NameZipkin, ConfigType: &tracev3.Tracing_Http_TypedConfig{TypedConfig: Any(&tracev3.ZipkinConfig{
			CollectorCluster:         t.Cluster,
			CollectorEndpoint:        t.Path,
			CollectorHostname:        t.Host,
			CollectorEndpointVersion: tracev3.ZipkinConfig_HTTP_JSON,
		})}},
	}
}
