package envoy

import (
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	upstreamhttpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"openservicemesh.io/osm/internal/core/envoy/filters"
	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
)

const (
	extHTTPOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
	loopback       = "127.0.0.1"
	// Many application servers close a connection that was idle for a few seconds. The sidecar closes first, so that
	// no request is sent into a connection its application is just closing.
	localIdleSeconds = 2
	figuresAtOnce    = 4
	figuresConnect   = time.Second
)

// clusterWith is everything that a cluster is encoded from.
type clusterWith struct {
	Cluster ir.Cluster
	TLS     ir.TLS
}

func (t *translator) cluster(c ir.Cluster, tls ir.TLS) {
	if c.Kind == ir.Mesh {
		t.called(c, tls)
		return
	}
	t.once(clusterWith{c, tls}, func() (*Resource, error) { return NewResource(Cluster, c.Name, otherCluster(c)) })
}

// otherCluster is a cluster of any kind but that of services of the mesh.
func otherCluster(c ir.Cluster) *clusterv3.Cluster {
	switch c.Kind {
	case ir.Local:
		return localCluster(c)
	case ir.DNS:
		return dnsCluster(c)
	case ir.Nowhere:
		return nowhere(c)
	case ir.Admin:
		return staticCluster(c.Name, names.PortEnvoyAdmin)
	case ir.Figures:
		return figuresCluster(c)
	case ir.End:
		return endCluster(c.Name)
	}
	m := &clusterv3.Cluster{ // ir.OriginalDst
		Name:                 c.Name,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_ORIGINAL_DST},
		LbPolicy:             clusterv3.Cluster_CLUSTER_PROVIDED,
	}
	limit(m, c.Limits)
	return m
}

func meshCluster(c ir.Cluster, tls ir.TLS) *clusterv3.Cluster {
	m := &clusterv3.Cluster{
		Name:                 c.Name,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig:     &clusterv3.Cluster_EdsClusterConfig{EdsConfig: filters.ADS()},
		LbPolicy:             clusterv3.Cluster_ROUND_ROBIN,
		TransportSocket:      upstreamTLS(c, tls),
	}
	limit(m, c.Limits)
	if c.Protocol.IsHTTP() {
		m.TypedExtensionProtocolOptions = http2(perConnection(c.Limits))
		oneAtATime(m, c)
	} else {
		// With one pool for all, a connection that the server refuses takes those along that are being made beside it,
		// and what they had reached stays open, used by nobody.
		m.ConnectionPoolPerDownstreamConnection = true
	}
	return m
}

func localCluster(c ir.Cluster) *clusterv3.Cluster {
	m := staticCluster(c.Name, c.Port)
	common := &corev3.HttpProtocolOptions{IdleTimeout: &durationpb.Duration{Seconds: localIdleSeconds}}
	switch {
	case c.SameProtocol:
		m.TypedExtensionProtocolOptions = sameProtocol(common)
	case c.Protocol == meshid.GRPC || c.HTTP2Local:
		m.TypedExtensionProtocolOptions = http2(nil)
	case c.Protocol.IsHTTP():
		m.TypedExtensionProtocolOptions = http1(common)
	}
	return m
}

// figuresCluster is the application's page of metrics. More scrapes at once than a few are not answered by it, nor does one
// wait longer than figuresConnect for a connection.
func figuresCluster(c ir.Cluster) *clusterv3.Cluster {
	m := staticCluster(c.Name, c.Port)
	most := uint32(figuresAtOnce)
	limit(m, &ir.Limits{MaxConnections: &most, MaxPendingRequests: &most, MaxRequests: &most, ConnectTimeout: figuresConnect})
	m.TypedExtensionProtocolOptions = http1(&corev3.HttpProtocolOptions{IdleTimeout: &durationpb.Duration{Seconds: localIdleSeconds}})
	return m
}

func staticCluster(name string, port uint16) *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name:                 name,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		LbPolicy:             clusterv3.Cluster_ROUND_ROBIN,
		CircuitBreakers:      breakers(nil),
		LoadAssignment: &endpointv3.ClusterLoadAssignment{
			ClusterName: name,
			Endpoints:   []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{lbEndpoint(loopback, port)}}},
		},
	}
}

func http2(common *corev3.HttpProtocolOptions) map[string]*anypb.Any {
	return httpOptions(&upstreamhttpv3.HttpProtocolOptions{
		CommonHttpProtocolOptions: common,
		UpstreamProtocolOptions: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
					Http2ProtocolOptions: &corev3.Http2ProtocolOptions{AllowConnect: true}}}}})
}

func http1(common *corev3.HttpProtocolOptions) map[string]*anypb.Any {
	return httpOptions(&upstreamhttpv3.HttpProtocolOptions{
		CommonHttpProtocolOptions: common,
		UpstreamProtocolOptions: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{
					HttpProtocolOptions: &corev3.Http1ProtocolOptions{}}}}})
}

func httpOptions(o *upstreamhttpv3.HttpProtocolOptions) map[string]*anypb.Any {
	return map[string]*anypb.Any{extHTTPOptions: filters.Any(o)}
}

func lbEndpoint(ip string, port uint16) *endpointv3.LbEndpoint {
	return &endpointv3.LbEndpoint{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{
		Endpoint: &endpointv3.Endpoint{Address: socketAddress(ip, port)}}}
}

func socketAddress(ip string, port uint16) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: ip, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(port)}}}}
}
