package deltaclient

import (
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"

	"openservicemesh.io/osm/internal/core/envoy"
)

// Refs finds what a resource refers to, by walking all of it, the way Envoy would come to need it: clusters that
// routes and TCP proxies name, and the endpoints, secrets and routes to be fetched from the same server. The result
// is sorted and without duplicates.
func Refs(body *anypb.Any) ([]envoy.Ref, error) {
	m, err := body.UnmarshalNew()
	if err != nil {
		return nil, err
	}
	var out []envoy.Ref
	if err := walk(m.ProtoReflect(), func(m proto.Message) { out = append(out, mentions(m)...) }); err != nil {
		return nil, err
	}
	slices.SortFunc(out, envoy.Ref.Compare)
	return slices.Compact(out), nil
}

func mentions(m proto.Message) []envoy.Ref {
	one := func(t envoy.TypeURL, name string) []envoy.Ref {
		if name == "" {
			return nil
		}
		return []envoy.Ref{{Type: t, Name: name}}
	}
	switch m := m.(type) {
	case *clusterv3.Cluster:
		if m.GetType() == clusterv3.Cluster_EDS && fromServer(m.GetEdsClusterConfig().GetEdsConfig()) {
			if n := m.GetEdsClusterConfig().GetServiceName(); n != "" {
				return one(envoy.Endpoint, n)
			}
			return one(envoy.Endpoint, m.GetName())
		}
	case *tlsv3.SdsSecretConfig:
		if fromServer(m.GetSdsConfig()) {
			return one(envoy.Secret, m.GetName())
		}
	case *hcmv3.Rds:
		return one(envoy.Route, m.GetRouteConfigName())
	case *routev3.RouteAction:
		return one(envoy.Cluster, m.GetCluster())
	case *routev3.WeightedCluster_ClusterWeight:
		return one(envoy.Cluster, m.GetName())
	case *routev3.RouteAction_RequestMirrorPolicy:
		return one(envoy.Cluster, m.GetCluster())
	case *tcpv3.TcpProxy:
		return one(envoy.Cluster, m.GetCluster())
	case *tcpv3.TcpProxy_WeightedCluster_ClusterWeight:
		return one(envoy.Cluster, m.GetName())
	}
	return nil
}

func fromServer(c *corev3.ConfigSource) bool { return c.GetAds() != nil }

// walk visits a message and all below it, through Any as well.
func walk(m protoreflect.Message, visit func(proto.Message)) error {
	if a, ok := m.Interface().(*anypb.Any); ok {
		inner, err := a.UnmarshalNew()
		if err != nil {
			return err
		}
		return walk(inner.ProtoReflect(), visit)
	}
	visit(m.Interface())
	var err error
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsMap():
			if fd.MapValue().Message() == nil {
				return true
			}
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				err = walk(v.Message(), visit)
				return err == nil
			})
		case fd.Message() == nil:
		case fd.IsList():
			for i := 0; i < v.List().Len() && err == nil; i++ {
				err = walk(v.List().Get(i).Message(), visit)
			}
		default:
			err = walk(v.Message(), visit)
		}
		return err == nil
	})
	return err
}
