package plan

import (
	"fmt"
	"slices"

	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// compilePorts decides which ports of each service the mesh carries, and reports the others.
func (p *Planner) compilePorts() {
	p.ports = make(map[meshid.Service][]snapshot.ServicePort, len(p.snap.Services))
	p.listens = make(map[meshid.Service][]snapshot.ServicePort, len(p.snap.Services))
	for _, svc := range p.snap.Services {
		byTarget := map[uint16]snapshot.ServicePort{}
		usable := make([]snapshot.ServicePort, 0, len(svc.Ports))
		for _, port := range svc.Ports {
			reason, why := unusable(port, byTarget)
			if why == "" {
				byTarget[port.TargetPort] = port
				usable = append(usable, port)
				continue
			}
			p.findings = append(p.findings, snapshot.Finding{
				Object:   snapshot.ObjectRef{Kind: "Service", Namespace: svc.ID.Namespace, Name: svc.ID.Name},
				Severity: snapshot.Warning, Reason: reason,
				Message: fmt.Sprintf("spec.ports: port %d (%s) is not carried by the mesh: %s", port.Port, port.Name, why)})
		}
		p.ports[svc.ID] = usable
		p.listens[svc.ID] = withOtherTargets(usable, byTarget)
	}
}

// withOtherTargets adds, for what pods listen on, the other numbers of named target ports. Which of them a pod has is its
// own business: its sidecar is ready for each.
func withOtherTargets(ports []snapshot.ServicePort, byTarget map[uint16]snapshot.ServicePort) []snapshot.ServicePort {
	out := slices.Clip(ports)
	for _, port := range ports {
		for _, number := range port.OtherTargets {
			other := port.At(number)
			if _, why := unusable(other, byTarget); why == "" {
				byTarget[number] = other
				out = append(out, other)
			}
		}
	}
	return out
}

// unusable says why the mesh does not carry a port; empty when it does.
func unusable(port snapshot.ServicePort, byTarget map[uint16]snapshot.ServicePort) (reason, why string) {
	first, shared := byTarget[port.TargetPort]
	switch {
	case port.Protocol == meshid.Unsupported:
		return "UnsupportedProtocol", "its appProtocol is none of http, grpc, tcp and tcp-server-first"
	case names.IsSidecarPort(port.TargetPort):
		return "ReservedPort", fmt.Sprintf("its target port %d belongs to the sidecar; let the application listen elsewhere", port.TargetPort)
	case shared && first.Protocol != port.Protocol:
		return "ProtocolConflict", fmt.Sprintf("port %d has the same target port %d and speaks %s, this one %s; one target port speaks one protocol",
			first.Port, port.TargetPort, first.Protocol, port.Protocol)
	}
	return "", ""
}

// dialled is the port number that callers use for a service port: of a headless service they call the pods directly.
func dialled(svc *snapshot.Service, port snapshot.ServicePort) uint16 {
	if svc.Headless {
		return port.TargetPort
	}
	return port.Port
}

// called lists the ports of a service as callers dial them. Of a headless service they dial the pods, so a named target
// port is one port for each number that it has in pods.
func (p *Planner) called(svc *snapshot.Service) []snapshot.ServicePort {
	if svc.Headless {
		return p.listens[svc.ID]
	}
	return p.ports[svc.ID]
}

// further reports whether a port that callers dial is one of the further numbers of a service port.
func (p *Planner) further(svc *snapshot.Service, port snapshot.ServicePort) bool {
	return !slices.ContainsFunc(p.ports[svc.ID], func(o snapshot.ServicePort) bool {
		return o.Port == port.Port && o.TargetPort == port.TargetPort
	})
}

// answers reports whether an endpoint is dialled on a port. A service port's own number stands for every endpoint: a slice
// that somebody wrote may lead to numbers that the Service does not name, and callers may know the number of one version.
func (p *Planner) answers(svc *snapshot.Service, ep snapshot.Endpoint, port snapshot.ServicePort) bool {
	return ep.Addr.Port() == port.TargetPort || !p.further(svc, port)
}

// outboundName is the name of the chain for a port of a service, or of one of its pods.
func (p *Planner) outboundName(svc *snapshot.Service, id meshid.Service, port snapshot.ServicePort) string {
	if p.further(svc, port) {
		return names.OutboundChainTo(id, port.Port, port.TargetPort, port.Protocol)
	}
	return names.OutboundChain(id, port.Port, port.Protocol)
}

// serviceHosts lists the host names of a service on several ports, without repetition.
func serviceHosts(id meshid.Service, ports []uint16, short bool) []string {
	var out []string
	for _, p := range ports {
		for _, h := range names.ServiceHosts(id, p, short) {
			if !slices.Contains(out, h) {
				out = append(out, h)
			}
		}
	}
	return out
}
