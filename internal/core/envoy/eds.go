package envoy

import (
	"net/netip"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
)

// LoadAssignment encodes the addresses of one cluster, in the order given. None is a valid answer: requests are then
// answered 503.
func LoadAssignment(cluster string, addrs []netip.AddrPort) (*Resource, error) {
	m := &endpointv3.ClusterLoadAssignment{ClusterName: cluster}
	if len(addrs) > 0 {
		l := &endpointv3.LocalityLbEndpoints{LbEndpoints: make([]*endpointv3.LbEndpoint, 0, len(addrs))}
		for _, a := range addrs {
			l.LbEndpoints = append(l.LbEndpoints, lbEndpoint(a.Addr().String(), a.Port()))
		}
		m.Endpoints = []*endpointv3.LocalityLbEndpoints{l}
	}
	return NewResource(Endpoint, cluster, m)
}
