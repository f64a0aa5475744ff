package explain

import (
	"fmt"
	"net/netip"
	"strings"

	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// clusterDomain is the suffix of names that the cluster's DNS answers.
const clusterDomain = "cluster.local"

// somewhere stands for the address of a name that the cluster does not know: RFC 5737 keeps it free.
var somewhere = netip.MustParseAddr("203.0.113.254")

// destination is what a caller dials.
type destination struct {
	addr netip.AddrPort
	// named is whether addr only stands for a name that the cluster does not know.
	named bool
	// service is nil for an address of no Service, and for what is outside of the cluster.
	service *snapshot.Service
	// pod is the pod dialled by its own address or its own name.
	pod *snapshot.Pod
	// port is the Service's port dialled, if the mesh carries it.
	port *snapshot.ServicePort
}

// outside reports whether the mesh knows neither a Service nor a pod there.
func (d destination) outside() bool { return d.service == nil && d.pod == nil }

// resolve does what the cluster's DNS and the dialler do for a pod of a namespace.
func (m *Mesh) resolve(namespace, host string, port uint16) (destination, error) {
	host = strings.TrimSuffix(host, ".")
	if ip, err := netip.ParseAddr(host); err == nil {
		return m.address(netip.AddrPortFrom(ip.Unmap(), port)), nil
	}
	name := strings.TrimSuffix(strings.TrimSuffix(host, "."+clusterDomain), ".svc")
	parts := strings.Split(name, ".")
	switch len(parts) {
	case 1:
		if svc := m.snap.Service(meshid.Service{Namespace: namespace, Name: parts[0]}); svc != nil {
			return m.ofService(svc, "", port)
		}
	case 2:
		if svc := m.snap.Service(meshid.Service{Namespace: parts[1], Name: parts[0]}); svc != nil {
			return m.ofService(svc, "", port)
		}
	case 3:
		if svc := m.snap.Service(meshid.Service{Namespace: parts[2], Name: parts[1]}); svc != nil {
			return m.ofService(svc, parts[0], port)
		}
	}
	if name != host {
		return destination{}, fmt.Errorf("%s: the mesh has no such Service; name one of a namespace that belongs to the mesh", host)
	}
	return destination{addr: netip.AddrPortFrom(somewhere, port), named: true}, nil
}

// ofService resolves a Service's name, or the name that one of its pods has below it.
func (m *Mesh) ofService(svc *snapshot.Service, hostname string, port uint16) (destination, error) {
	d := destination{service: svc}
	for _, p := range m.planner.Ports(svc.ID) {
		// A headless Service has no address of its own: its callers dial the pods, on the port that they listen on.
		if p.Port == port || svc.Headless && p.LeadsTo(port) {
			d.port = &p
			break
		}
	}
	if !svc.Headless && hostname == "" {
		if len(svc.ClusterIPs) == 0 {
			return d, fmt.Errorf("service %s has no address", svc.ID)
		}
		d.addr = netip.AddrPortFrom(svc.ClusterIPs[0], port)
		return d, nil
	}
	for _, p := range svc.Ports {
		for _, ep := range m.snap.Endpoints[meshid.ServicePort{Service: svc.ID, Port: p.Port}] {
			if hostname == "" || ep.Hostname == hostname {
				d.addr, d.pod = netip.AddrPortFrom(ep.Addr.Addr(), port), m.snap.Pod(ep.Pod)
				return d, nil
			}
		}
	}
	if hostname != "" {
		return d, fmt.Errorf("service %s has no ready pod of the name %s, so the name %s.%s.%s does not resolve",
			svc.ID, hostname, hostname, svc.ID.Name, svc.ID.Namespace)
	}
	return d, fmt.Errorf("service %s is headless and has no ready pod, so its name does not resolve", svc.ID)
}

// address finds what an address belongs to.
func (m *Mesh) address(to netip.AddrPort) destination {
	d := destination{addr: to, pod: m.podAt(to.Addr())}
	for _, svc := range m.snap.Services {
		for _, ip := range svc.ClusterIPs {
			if ip == to.Addr() {
				found, err := m.ofService(svc, "", to.Port())
				if err == nil {
					return found
				}
			}
		}
	}
	if d.pod != nil {
		d.service, d.port = m.servicePortOf(d.pod, to.Port())
	}
	return d
}

// servicePortOf finds the Service through whose configuration a pod's port is served.
func (m *Mesh) servicePortOf(pod *snapshot.Pod, target uint16) (*snapshot.Service, *snapshot.ServicePort) {
	for _, id := range m.snap.ServicesOf(pod.ID) {
		svc := m.snap.Service(id)
		for _, p := range m.planner.Ports(id) {
			if p.LeadsTo(target) {
				return svc, &p
			}
		}
	}
	return nil, nil
}
