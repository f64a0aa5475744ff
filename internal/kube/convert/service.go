package convert

import (
	"maps"
	"net/netip"

	corev1 "k8s.io/api/core/v1"

	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// Service is a Service whose named target ports are not resolved yet.
type Service struct {
	snapshot.Service
	// TargetNames runs parallel to Ports: the name of the target port, or "" where TargetPort is a number already.
	TargetNames []string
}

// HasNames reports whether a target port is named, so that endpoints or pods decide its number.
func (s Service) HasNames() bool {
	for _, n := range s.TargetNames {
		if n != "" {
			return true
		}
	}
	return false
}

// ServiceOf converts a Service. UDP and SCTP ports are dropped: the mesh redirects TCP only. An ExternalName Service has
// no address of its own and counts as headless without a selector.
func ServiceOf(in *corev1.Service) Service {
	out := Service{Service: snapshot.Service{
		ID:       meshid.Service{Namespace: in.Namespace, Name: in.Name},
		Headless: in.Spec.ClusterIP == corev1.ClusterIPNone || in.Spec.Type == corev1.ServiceTypeExternalName,
	}}
	if in.Spec.Type != corev1.ServiceTypeExternalName {
		out.Selector = maps.Clone(in.Spec.Selector)
		out.ClusterIPs = clusterIPs(in)
	}
	for _, p := range in.Spec.Ports {
		if p.Protocol != corev1.ProtocolTCP && p.Protocol != "" {
			continue
		}
		port := snapshot.ServicePort{Name: p.Name, Port: uint16(p.Port), Protocol: meshid.DetectProtocol(p.AppProtocol, p.Name),
			Undeclared: !meshid.Declared(p.AppProtocol, p.Name)}
		name := ""
		switch {
		case p.TargetPort.StrVal != "":
			name = p.TargetPort.StrVal
		case p.TargetPort.IntVal != 0:
			port.TargetPort = uint16(p.TargetPort.IntVal)
		default:
			port.TargetPort = port.Port
		}
		out.Ports = append(out.Ports, port)
		out.TargetNames = append(out.TargetNames, name)
	}
	return out
}

// clusterIPs reads spec.clusterIPs, or spec.clusterIP in manifests that no API server has completed.
func clusterIPs(in *corev1.Service) []netip.Addr {
	texts := in.Spec.ClusterIPs
	if len(texts) == 0 {
		texts = []string{in.Spec.ClusterIP}
	}
	return addrs(texts)
}

// addrs parses addresses; what is not an address ("", "None") is left out.
func addrs(texts []string) []netip.Addr {
	var out []netip.Addr
	for _, t := range texts {
		if a, err := netip.ParseAddr(t); err == nil {
			out = append(out, a.Unmap())
		}
	}
	return out
}
