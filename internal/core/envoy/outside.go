package envoy

import (
	"net/netip"
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	dnscommonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/common/dns/v3"
	dnsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/dns/v3"
	httpinspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/http_inspector/v3"
	tlsinspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	upstreamhttpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"openservicemesh.io/osm/internal/core/envoy/filters"
	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
)

const (
	nameHTTPInspector = "envoy.filters.listener.http_inspector"
	// The words of Envoy's inspectors for what they found.
	transportTLS, transportPlain = "tls", "raw_buffer"
)

// httpALPN are the HTTP inspector's words for plaintext HTTP, and what ingress offers in a TLS handshake.
var (
	httpALPN    = []string{"http/1.0", "http/1.1", "h2c"}
	ingressALPN = []string{"h2", "http/1.1"}
)

// outsideMatch narrows the match of an egress or ingress chain to what is spoken. The mesh's own connections are told by
// their ALPN, which Envoy compares after server name and transport, so none of these chains can take one.
func outsideMatch(m *listenerv3.FilterChainMatch, c ir.Chain) {
	switch {
	case c.Side == ir.Egress && c.Protocol == meshid.HTTP:
		m.TransportProtocol, m.ApplicationProtocols = transportPlain, httpALPN
	case c.Side == ir.Egress && c.Protocol == ir.HTTPS, c.Side == ir.Ingress && c.MTLS != nil:
		m.TransportProtocol = transportTLS
	case c.Side == ir.Ingress, c.Match.Plaintext:
		m.TransportProtocol = transportPlain
	}
	if c.Match.Detected {
		m.ApplicationProtocols = httpALPN
	}
}

// outboundInspectors look into the first bytes of connections to ports on which egress policies tell HTTP or TLS apart, or
// which declare no protocol, and of no others: a server that speaks first would be waited for in vain.
func outboundInspectors(chains []ir.Chain) []*listenerv3.ListenerFilter {
	var both, http []uint16
	for _, c := range chains {
		switch {
		case c.Side == ir.Egress && (c.Protocol == meshid.HTTP || c.Protocol == ir.HTTPS):
			both = append(both, c.Match.Port)
		case c.Match.Detected:
			http = append(http, c.Match.Port)
		}
	}
	return slices.Concat(
		inspector(nameTLSInspector, &tlsinspectorv3.TlsInspector{}, both),
		inspector(nameHTTPInspector, &httpinspectorv3.HttpInspector{}, slices.Concat(both, http)))
}

// inspector looks at connections to some ports; with none it is left out.
func inspector(name string, config proto.Message, ports []uint16) []*listenerv3.ListenerFilter {
	if len(ports) == 0 {
		return nil
	}
	ports = slices.Sorted(slices.Values(ports))
	f := listenerFilter(name, config)
	f.FilterDisabled = notOn(slices.Compact(ports))
	return []*listenerv3.ListenerFilter{f}
}

func notOn(ports []uint16) *listenerv3.ListenerFilterChainMatchPredicate {
	var any []*listenerv3.ListenerFilterChainMatchPredicate
	for _, p := range ports {
		any = append(any, &listenerv3.ListenerFilterChainMatchPredicate{Rule: &listenerv3.ListenerFilterChainMatchPredicate_DestinationPortRange{
			DestinationPortRange: &typev3.Int32Range{Start: int32(p), End: int32(p) + 1}}}) // the end is not in the range
	}
	on := any[0]
	if len(any) > 1 {
		on = &listenerv3.ListenerFilterChainMatchPredicate{Rule: &listenerv3.ListenerFilterChainMatchPredicate_OrMatch{
			OrMatch: &listenerv3.ListenerFilterChainMatchPredicate_MatchSet{Rules: any}}}
	}
	return &listenerv3.ListenerFilterChainMatchPredicate{Rule: &listenerv3.ListenerFilterChainMatchPredicate_NotMatch{NotMatch: on}}
}

func ranges(cidrs []string) []*corev3.CidrRange {
	var out []*corev3.CidrRange
	for _, s := range cidrs {
		// The plan writes what it has parsed; were it otherwise, Envoy would refuse the empty range, not obey it.
		p, _ := netip.ParsePrefix(s)
		out = append(out, &corev3.CidrRange{AddressPrefix: p.Addr().String(), PrefixLen: wrapperspb.UInt32(uint32(max(p.Bits(), 0)))})
	}
	return out
}

// ingressTLS terminates TLS of clients outside of the mesh with the workload's own certificate.
func ingressTLS(m ir.MTLS, tls ir.TLS) *corev3.TransportSocket {
	common := commonTLS(m.CertSecret, m.TrustSecret, tls)
	common.AlpnProtocols = ingressALPN
	if m.AnyClient {
		common.ValidationContextType = nil
	}
	return tlsSocket(&tlsv3.DownstreamTlsContext{
		CommonTlsContext: common, RequireClientCertificate: wrapperspb.Bool(!m.AnyClient)})
}

// nameDNSCluster is the cluster extension that looks names up.
const nameDNSCluster = "envoy.clusters.dns"

// dnsCluster resolves a host again and again. Its IPv4 addresses go first: a cluster without IPv6 is more common than a host
// without IPv4.
func dnsCluster(c ir.Cluster) *clusterv3.Cluster {
	m := &clusterv3.Cluster{
		Name: c.Name,
		ClusterDiscoveryType: &clusterv3.Cluster_ClusterType{ClusterType: &clusterv3.Cluster_CustomClusterType{
			Name: nameDNSCluster,
			TypedConfig: filters.Any(&dnsv3.DnsCluster{
				DnsLookupFamily: dnscommonv3.DnsLookupFamily_V4_PREFERRED, RespectDnsTtl: true}),
		}},
		LbPolicy:                      clusterv3.Cluster_ROUND_ROBIN,
		LoadAssignment:                &endpointv3.ClusterLoadAssignment{ClusterName: c.Name},
		TypedExtensionProtocolOptions: sameProtocol(perConnection(c.Limits)),
	}
	switch {
	case c.Protocol == meshid.GRPC:
		m.TypedExtensionProtocolOptions = http2(perConnection(c.Limits))
	case !c.SameProtocol: // the proxy itself calls
		m.TypedExtensionProtocolOptions = http1(nil)
	}
	if c.Host != "" {
		m.LoadAssignment.Endpoints = []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{lbEndpoint(c.Host, c.Port)}}}
	}
	if _, err := netip.ParseAddr(c.Host); err == nil || c.Host == "" {
		m.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}
	}
	limit(m, c.Limits)
	return m
}

// nowhere has no address, so that connections are closed.
func nowhere(c ir.Cluster) *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name: c.Name, ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		LoadAssignment: &endpointv3.ClusterLoadAssignment{ClusterName: c.Name},
	}
}

// sameProtocol speaks to the server the HTTP version that the client speaks.
func sameProtocol(common *corev3.HttpProtocolOptions) map[string]*anypb.Any {
	return httpOptions(&upstreamhttpv3.HttpProtocolOptions{
		CommonHttpProtocolOptions: common,
		UpstreamProtocolOptions: &upstreamhttpv3.HttpProtocolOptions_UseDownstreamProtocolConfig{
			UseDownstreamProtocolConfig: &upstreamhttpv3.HttpProtocolOptions_UseDownstreamHttpConfig{
				HttpProtocolOptions:  &corev3.Http1ProtocolOptions{},
				Http2ProtocolOptions: &corev3.Http2ProtocolOptions{AllowConnect: true}}}})
}
