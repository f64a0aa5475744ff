package envoy

import (
	"net/netip"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"openservicemesh.io/osm/internal/core/envoy/filters"
	"openservicemesh.io/osm/internal/core/meshid"
)

// Address is one of a cluster's. It is comparable.
type Address struct {
	netip.AddrPort
	// Owner is whose the address is, for the sidecars that count by it; zero where nobody does or nobody knows.
	Owner Owner
}

// Owner is a pod as metrics name it.
type Owner struct {
	Namespace, Pod string
	Workload       meshid.Workload
}

// LoadAssignment encodes the addresses of one cluster, in the order given. None is a valid answer: requests are then
// answered 503.
func LoadAssignment(cluster string, addrs []Address) (*Resource, error) {
	m := &endpointv3.ClusterLoadAssignment{ClusterName: cluster}
	if len(addrs) > 0 {
		l := &endpointv3.LocalityLbEndpoints{LbEndpoints: make([]*endpointv3.LbEndpoint, 0, len(addrs))}
		for _, a := range addrs {
			e := lbEndpoint(a.Addr().String(), a.Port())
			e.Metadata = a.Owner.metadata()
			l.LbEndpoints = append(l.LbEndpoints, e)
		}
		m.Endpoints = []*endpointv3.LocalityLbEndpoints{l}
	}
	return NewResource(Endpoint, cluster, m)
}

func (o Owner) metadata() *corev3.Metadata {
	if o == (Owner{}) {
		return nil
	}
	return &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{filters.OwnerMetadata: {Fields: map[string]*structpb.Value{
		filters.OwnerNamespace: structpb.NewStringValue(o.Namespace), filters.OwnerPod: structpb.NewStringValue(o.Pod),
		filters.OwnerKind: structpb.NewStringValue(o.Workload.Kind), filters.OwnerName: structpb.NewStringValue(o.Workload.Name),
	}}}}
}
