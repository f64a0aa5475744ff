package xdstest

import (
	"fmt"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/testkit/deltaclient"
)

// Bad is the revision of a resource that RefuseBad refuses.
const Bad = 666

var ads = &corev3.ConfigSource{
	ResourceApiVersion:    corev3.ApiVersion_V3,
	ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Encode makes a resource and finds its references.
func Encode(t envoy.TypeURL, name string, m proto.Message) *envoy.Resource {
	return must(envoy.NewResource(t, name, m, must(deltaclient.Refs(must(anypb.New(m))))...))
}

// Cluster makes a cluster with endpoints and, if secrets are given, client certificates from the server.
func Cluster(name string, rev int, secrets ...string) *envoy.Resource {
	c := &clusterv3.Cluster{
		Name: name, AltStatName: fmt.Sprint(rev), ConnectTimeout: durationpb.New(time.Second),
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig:     &clusterv3.Cluster_EdsClusterConfig{EdsConfig: ads},
	}
	if len(secrets) > 0 {
		tls := &tlsv3.UpstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{}}
		for _, s := range secrets {
			tls.CommonTlsContext.TlsCertificateSdsSecretConfigs = append(tls.CommonTlsContext.TlsCertificateSdsSecretConfigs,
				&tlsv3.SdsSecretConfig{Name: s, SdsConfig: ads})
		}
		c.TransportSocket = &corev3.TransportSocket{Name: "envoy.transport_sockets.tls", ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: must(anypb.New(tls))}}
	}
	return Encode(envoy.Cluster, name, c)
}

// OnDemand is a copy of a cluster that is on demand, or is not.
func OnDemand(c *envoy.Resource, on bool) *envoy.Resource {
	out := *c
	out.OnDemand = on
	return &out
}

// Route makes a route configuration: path /<cluster> leads to each cluster.
func Route(name string, rev int, clusters ...string) *envoy.Resource {
	vh := &routev3.VirtualHost{Name: "all", Domains: []string{"*"}}
	for _, c := range clusters {
		vh.Routes = append(vh.Routes, &routev3.Route{
			Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Path{Path: "/" + c}},
			Action: &routev3.Route_Route{Route: &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: c}}},
		})
	}
	return Encode(envoy.Route, name, &routev3.RouteConfiguration{
		Name: name, VirtualHosts: []*routev3.VirtualHost{vh}, MaxDirectResponseBodySizeBytes: wrapperspb.UInt32(uint32(rev)),
	})
}

// Listener makes a listener on a loopback port (0: one that Envoy would refuse, but other clients do not mind) with one
// chain per route configuration and one per cluster.
func Listener(name string, port uint32, rev int, routes, clusters []string) *envoy.Resource {
	l := &listenerv3.Listener{Name: name, StatPrefix: fmt.Sprint(rev), Address: &corev3.Address{Address: &corev3.Address_SocketAddress{
		SocketAddress: &corev3.SocketAddress{Address: "127.0.0.1", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port}},
	}}}
	chain := func(name, filter string, m proto.Message) {
		c := &listenerv3.FilterChain{Name: name, Filters: []*listenerv3.Filter{{
			Name: filter, ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: must(anypb.New(m))},
		}}}
		if len(l.FilterChains) > 0 { // chains must differ in what they match
			c.FilterChainMatch = &listenerv3.FilterChainMatch{ServerNames: []string{name + ".test"}, TransportProtocol: "tls"}
		}
		l.FilterChains = append(l.FilterChains, c)
	}
	for _, r := range routes {
		chain(r, "envoy.filters.network.http_connection_manager", &hcmv3.HttpConnectionManager{
			StatPrefix:     name,
			RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{RouteConfigName: r, ConfigSource: ads}},
			HttpFilters: []*hcmv3.HttpFilter{{
				Name: "envoy.filters.http.router", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: must(anypb.New(&routerv3.Router{}))},
			}},
		})
	}
	for _, c := range clusters {
		chain(c, "envoy.filters.network.tcp_proxy", &tcpv3.TcpProxy{StatPrefix: c, ClusterSpecifier: &tcpv3.TcpProxy_Cluster{Cluster: c}})
	}
	return Encode(envoy.Listener, name, l)
}

// Endpoints makes a load assignment with an address on loopback for each port.
func Endpoints(cluster string, rev int, ports ...uint32) *envoy.Resource {
	cla := &endpointv3.ClusterLoadAssignment{
		ClusterName: cluster,
		Policy:      &endpointv3.ClusterLoadAssignment_Policy{OverprovisioningFactor: wrapperspb.UInt32(uint32(rev + 1))},
	}
	group := &endpointv3.LocalityLbEndpoints{}
	for _, p := range ports {
		group.LbEndpoints = append(group.LbEndpoints, &endpointv3.LbEndpoint{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{
			Endpoint: &endpointv3.Endpoint{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{
				SocketAddress: &corev3.SocketAddress{Address: "127.0.0.1", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: p}},
			}}},
		}})
	}
	if len(ports) > 0 {
		cla.Endpoints = append(cla.Endpoints, group)
	}
	return Encode(envoy.Endpoint, cluster, cla)
}

// Secret makes a secret that holds nothing but its revision.
func Secret(name string, rev int) *envoy.Resource {
	return Encode(envoy.Secret, name, &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_GenericSecret{GenericSecret: &tlsv3.GenericSecret{
		Secret: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: fmt.Sprint(rev)}},
	}}})
}

// RefuseBad is for deltaclient.Model.Refuse: it refuses what was made with revision Bad.
func RefuseBad(_ envoy.TypeURL, r *discovery.Resource) string {
	switch m := must(r.GetResource().UnmarshalNew()).(type) {
	case *clusterv3.Cluster:
		if m.GetAltStatName() == fmt.Sprint(Bad) {
			return "bad cluster"
		}
	case *listenerv3.Listener:
		if m.GetStatPrefix() == fmt.Sprint(Bad) {
			return "bad listener"
		}
	case *routev3.RouteConfiguration:
		if m.GetMaxDirectResponseBodySizeBytes().GetValue() == Bad {
			return "bad route"
		}
	case *endpointv3.ClusterLoadAssignment:
		if m.GetPolicy().GetOverprovisioningFactor().GetValue() == Bad+1 {
			return "bad endpoints"
		}
	}
	return ""
}

// Certificate makes a secret that holds a certificate and its key.
func Certificate(name string, certPEM, keyPEM []byte) *envoy.Resource {
	inline := func(b []byte) *corev3.DataSource {
		return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: b}}
	}
	return Encode(envoy.Secret, name, &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_TlsCertificate{
		TlsCertificate: &tlsv3.TlsCertificate{CertificateChain: inline(certPEM), PrivateKey: inline(keyPEM)},
	}})
}

// BadCluster makes a cluster that every Envoy refuses: its TLS certificate is none.
func BadCluster(name string) *envoy.Resource {
	c := &clusterv3.Cluster{
		Name: name, ConnectTimeout: durationpb.New(time.Second),
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig:     &clusterv3.Cluster_EdsClusterConfig{EdsConfig: ads},
	}
	junk := &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: "junk"}}
	tls := &tlsv3.UpstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{
		TlsCertificates: []*tlsv3.TlsCertificate{{CertificateChain: junk, PrivateKey: junk}},
	}}
	c.TransportSocket = &corev3.TransportSocket{Name: "envoy.transport_sockets.tls", ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: must(anypb.New(tls))}}
	return Encode(envoy.Cluster, name, c)
}

// LocalCluster is the static cluster of an application on loopback.
func LocalCluster(name string, port uint32) *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name: name, ConnectTimeout: durationpb.New(time.Second),
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		LoadAssignment: &endpointv3.ClusterLoadAssignment{ClusterName: name, Endpoints: []*endpointv3.LocalityLbEndpoints{{
			LbEndpoints: []*endpointv3.LbEndpoint{{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{
				Endpoint: &endpointv3.Endpoint{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{
					SocketAddress: &corev3.SocketAddress{Address: "127.0.0.1", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port}},
				}}},
			}}},
		}}},
	}
}
