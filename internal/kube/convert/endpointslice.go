package convert

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"openservicemesh.io/osm/internal/core/meshid"
)

// Slice is the ready part of an EndpointSlice.
type Slice struct {
	Service meshid.Service
	Ports   []SlicePort
	Ready   []Address
}

// SlicePort is a TCP port of a slice: Name is the Service's port name, Port the number the pods listen on.
type SlicePort struct {
	Name string
	Port uint16
}

// Address is one ready address.
type Address struct {
	Addr netip.Addr
	// Pod is the pod behind the address, or zero when the slice names none.
	Pod meshid.Pod
	// Hostname is the name of its own that the address has below the Service's, or empty.
	Hostname string
}

// SliceOf converts an EndpointSlice; false means that it says nothing to the mesh: it belongs to no Service, or holds
// host names instead of addresses. An endpoint counts when conditions.ready is true or absent, as the API defines it.
func SliceOf(in *discoveryv1.EndpointSlice) (Slice, bool) {
	service := in.Labels[discoveryv1.LabelServiceName]
	if service == "" || in.AddressType == discoveryv1.AddressTypeFQDN {
		return Slice{}, false
	}
	out := Slice{Service: meshid.Service{Namespace: in.Namespace, Name: service}}
	for _, p := range in.Ports {
		if p.Port == nil || (p.Protocol != nil && *p.Protocol != corev1.ProtocolTCP) {
			continue
		}
		port := SlicePort{Port: uint16(*p.Port)}
		if p.Name != nil {
			port.Name = *p.Name
		}
		out.Ports = append(out.Ports, port)
	}
	for _, ep := range in.Endpoints {
		if ep.Conditions.Ready != nil && !*ep.Conditions.Ready {
			continue
		}
		// All addresses of one endpoint are interchangeable by definition, so only the first is used.
		list := addrs(ep.Addresses)
		if len(list) == 0 {
			continue
		}
		addr := Address{Addr: list[0]}
		if ep.Hostname != nil {
			addr.Hostname = *ep.Hostname
		}
		if ref := ep.TargetRef; ref != nil && ref.Kind == "Pod" {
			addr.Pod = meshid.Pod{Namespace: ref.Namespace, Name: ref.Name, UID: string(ref.UID)}
			if addr.Pod.Namespace == "" {
				addr.Pod.Namespace = in.Namespace
			}
		}
		out.Ready = append(out.Ready, addr)
	}
	return out, true
}
