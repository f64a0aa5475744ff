package plan

import (
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/policy/traffictarget"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// Grants lists what TrafficTargets let others ask of a service account, in order of the objects. The slice is shared.
func (p *Planner) Grants(of meshid.Identity) []traffictarget.Grant { return p.byDest[of] }

// BackendsOf lists the services that calls to a service may reach: the backends of its split, or itself.
func (p *Planner) BackendsOf(id meshid.Service) []meshid.Service {
	split := p.splits[id]
	if len(split) == 0 {
		return []meshid.Service{id}
	}
	out := make([]meshid.Service, 0, len(split))
	for _, b := range split {
		if b.Weight > 0 {
			out = append(out, b.Service)
		}
	}
	return out
}

// Ports lists the ports of a service that the mesh carries. The slice is shared.
func (p *Planner) Ports(of meshid.Service) []snapshot.ServicePort { return p.ports[of] }
