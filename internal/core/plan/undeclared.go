package plan

import (
	"fmt"
	"slices"

	"openservicemesh.io/osm/internal/core/policy/traffictarget"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// compileUndeclared reports targets that are silent about ports where a port that declares nothing can be reached by
// nobody for want of its number.
func (p *Planner) compileUndeclared() {
	if p.snap.Mesh.Permissive || !p.snap.Mesh.Detect {
		return
	}
	for _, svc := range p.snap.Services {
		for _, port := range p.ports[svc.ID] {
			if !port.Undeclared {
				continue
			}
			for _, id := range p.snap.Backing(svc.ID) {
				p.reportUnnamed(svc, port, p.byDest[id])
			}
		}
	}
}

func (p *Planner) reportUnnamed(svc *snapshot.Service, port snapshot.ServicePort, grants []traffictarget.Grant) {
	if slices.ContainsFunc(grants, func(g traffictarget.Grant) bool { return g.Requests || grantsBytes(g, port.TargetPort) }) {
		return
	}
	for _, g := range grants {
		if !g.AnyPort {
			continue
		}
		p.findings = append(p.findings, snapshot.Finding{
			Object:   snapshot.ObjectRef{Kind: traffictarget.Kind, Namespace: g.Destination.Namespace, Name: g.Name[len(g.Destination.Namespace)+1:]},
			Severity: snapshot.Warning, Reason: "PortNotNamed",
			Message: fmt.Sprintf("spec.rules: port %d of Service %s declares no protocol and is named by no TCPRoute, so it is closed to everybody; "+
				"name target port %d in spec.matches.ports of the TCPRoute, or give the Service's port an appProtocol", port.Port, svc.ID, port.TargetPort)})
	}
}
