package bootstrap

import (
	"fmt"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	commondnsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/common/dns/v3"
	dnsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/dns/v3"
	headermutationv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	upstreamcodecv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/upstream_codec/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	filecontentv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/formatter/file_content/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"openservicemesh.io/osm/internal/core/names"
)

const httpOptionsKey = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

// controllerCluster is the connection to the control plane: TLS checked against the mesh root and one exact name, the
// pod's own token on every stream, and probes by the kernel, so that a controller lost without a word is noticed within 45 s.
// Pings of HTTP/2 would notice no more, and a controller with a thousand quiet proxies would do nothing but answer them.
func (e *encoder) controllerCluster(c Config) *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name: names.ClusterController,
		ClusterDiscoveryType: &clusterv3.Cluster_ClusterType{ClusterType: &clusterv3.Cluster_CustomClusterType{
			Name: "envoy.clusters.dns", TypedConfig: e.any(controllerDNS(c.DualStack)),
		}},
		ConnectTimeout: durationMillis(5_000),
		LoadAssignment: assignment(names.ClusterController, c.ControllerHost, c.ControllerPort),
		UpstreamConnectionOptions: &clusterv3.UpstreamConnectionOptions{TcpKeepalive: &corev3.TcpKeepalive{
			KeepaliveProbes: u32(3), KeepaliveTime: u32(30), KeepaliveInterval: u32(5),
		}},
		TransportSocket: &corev3.TransportSocket{
			Name:       "envoy.transport_sockets.tls",
			ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: e.any(controllerTLS(c))},
		},
		TypedExtensionProtocolOptions: map[string]*anypb.Any{httpOptionsKey: e.any(e.controllerHTTP())},
	}
}

// controllerDNS resolves the controller's Service to one logical endpoint, and asks again soon while the answer fails: a
// pod often starts before the cluster's DNS knows a control plane that starts with it.
func controllerDNS(dual bool) *dnsv3.DnsCluster {
	family := commondnsv3.DnsLookupFamily_V4_PREFERRED
	if dual {
		family = commondnsv3.DnsLookupFamily_ALL
	}
	return &dnsv3.DnsCluster{
		DnsLookupFamily:              family,
		AllAddressesInSingleEndpoint: true,
		DnsFailureRefreshRate: &dnsv3.DnsCluster_RefreshRate{
			BaseInterval: durationMillis(100), MaxInterval: durationMillis(5_000),
		},
	}
}

func (e *encoder) controllerHTTP() *httpv3.HttpProtocolOptions {
	return &httpv3.HttpProtocolOptions{
		UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
					Http2ProtocolOptions: &corev3.Http2ProtocolOptions{},
				},
			},
		},
		HttpFilters: []*hcmv3.HttpFilter{
			{Name: "envoy.filters.http.header_mutation", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: e.any(e.tokenHeader())}},
			{Name: "envoy.filters.http.upstream_codec", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: e.any(&upstreamcodecv3.UpstreamCodec{})}},
		},
	}
}

// tokenHeader sets the authorization header of every stream from the projected token. The kubelet replaces the whole
// directory when it renews the token, so the directory is watched; the next stream carries the new one. (A generic
// secret over file SDS reads its file once and never again, which would lock a sidecar out after an hour.)
func (e *encoder) tokenHeader() *headermutationv3.HeaderMutation {
	file := names.BootstrapDir + "/" + names.TokenFile
	return &headermutationv3.HeaderMutation{Mutations: &headermutationv3.Mutations{
		RequestMutations: []*mutationv3.HeaderMutation{{Action: &mutationv3.HeaderMutation_Append{
			Append: &corev3.HeaderValueOption{
				AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
				Header: &corev3.HeaderValue{
					Key:   "authorization",
					Value: fmt.Sprintf("Bearer %%FILE_CONTENT(%s:%s)%%", file, names.BootstrapDir),
				},
			},
		}}},
		Formatters: []*corev3.TypedExtensionConfig{{
			Name: "envoy.formatter.file_content", TypedConfig: e.any(&filecontentv3.FileContent{}),
		}},
	}}
}

func controllerTLS(c Config) *tlsv3.UpstreamTlsContext {
	return &tlsv3.UpstreamTlsContext{
		Sni: c.ControllerSAN,
		CommonTlsContext: &tlsv3.CommonTlsContext{
			AlpnProtocols: []string{"h2"},
			TlsParams: &tlsv3.TlsParameters{
				TlsMinimumProtocolVersion: tlsVersion(c.TLS.MinVersion),
				TlsMaximumProtocolVersion: tlsVersion(c.TLS.MaxVersion),
				CipherSuites:              c.TLS.CipherSuites,
				EcdhCurves:                c.TLS.ECDHCurves,
			},
			ValidationContextType: &tlsv3.CommonTlsContext_ValidationContext{
				ValidationContext: &tlsv3.CertificateValidationContext{
					TrustedCa: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: c.RootPEM}},
					MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{{
						SanType: tlsv3.SubjectAltNameMatcher_DNS,
						Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: c.ControllerSAN}},
					}},
				},
			},
		},
	}
}

// tlsVersion knows MeshConfig's spellings; anything else is Envoy's default.
func tlsVersion(s string) tlsv3.TlsParameters_TlsProtocol {
	return tlsv3.TlsParameters_TlsProtocol(tlsv3.TlsParameters_TlsProtocol_value[s])
}

func assignment(cluster, host string, port uint16) *endpointv3.ClusterLoadAssignment {
	return &endpointv3.ClusterLoadAssignment{
		ClusterName: cluster,
		Endpoints: []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{{
			HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: address(host, port, false)}},
		}}}},
	}
}
