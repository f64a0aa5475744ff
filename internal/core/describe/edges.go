package describe

import (
	"cmp"
	"slices"

	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/plan"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// Edge is one service account that the configuration lets call one port of a service.
type Edge struct {
	// Source is "<service account>.<namespace>".
	Source string `json:"source"`
	// Service is "<namespace>/<service>", as the application calls it, Port the Service's.
	Service  string `json:"service"`
	Port     uint16 `json:"port"`
	Protocol string `json:"protocol"`
	// Backend is the service whose pods answer: Service itself, or one that a TrafficSplit names.
	Backend string `json:"backend"`
	// Servers are the service accounts of the backend's pods.
	Servers []string `json:"servers"`
	// Policies are the TrafficTargets that let the source in; Permissive says that none is needed.
	Policies   []string `json:"policies,omitempty"`
	Permissive bool     `json:"permissive,omitempty"`
}

// Edges lists who may call whom inside of the mesh: every service that a sidecar of an identity has a way to, by what lets it
// in there. A way that nothing lets in has no policies.
func Edges(p *plan.Planner) []Edge {
	var out []Edge
	seen := map[plan.Key]bool{}
	for _, pod := range p.Snapshot().Pods {
		if key := p.KeyOf(pod); pod.ProxyUUID != "" && !seen[key] {
			seen[key] = true
			out = append(out, edgesOf(p, pod)...)
		}
	}
	slices.SortFunc(out, Edge.compare)
	return slices.CompactFunc(out, func(x, y Edge) bool { return x.compare(y) == 0 })
}

func (e Edge) compare(o Edge) int {
	return cmp.Or(cmp.Compare(e.Source, o.Source), cmp.Compare(e.Service, o.Service), cmp.Compare(e.Port, o.Port),
		cmp.Compare(e.Backend, o.Backend), cmp.Compare(e.Protocol, o.Protocol))
}

func edgesOf(p *plan.Planner, pod *snapshot.Pod) []Edge {
	proxy := p.Plan(p.KeyOf(pod))
	if proxy.Outbound == nil {
		return nil
	}
	principal := pod.Identity.Principal(p.Snapshot().Mesh.TrustDomain)
	var out []Edge
	for _, c := range proxy.Outbound.Chains {
		service := c.About.Service
		if service == (meshid.Service{}) {
			continue // what an Egress policy opens leaves the mesh
		}
		for _, backend := range p.BackendsOf(service) {
			target, has := targetPort(p, backend, c.Match.Port)
			if !has {
				continue // a split of another port: nothing of this one goes there
			}
			e := Edge{Source: pod.Identity.String(), Service: service.String(), Port: c.Match.Port, Protocol: string(c.Protocol), Backend: backend.String()}
			for _, id := range p.Snapshot().Backing(backend) {
				e.Servers = append(e.Servers, id.String())
			}
			e.Policies, e.Permissive = letIn(p, backend, target, principal)
			out = append(out, e)
		}
	}
	return out
}

// targetPort is the port of the pods behind a port of a service.
func targetPort(p *plan.Planner, service meshid.Service, port uint16) (uint16, bool) {
	for _, sp := range p.Ports(service) {
		if sp.Port == port {
			return sp.TargetPort, true
		}
	}
	return 0, false
}

// letIn names what lets a principal in on one port of the pods of a service.
func letIn(p *plan.Planner, service meshid.Service, target uint16, principal string) (policies []string, permissive bool) {
	for _, a := range answersOf(p, service) {
		if a.Number != target {
			continue
		}
		permissive = permissive || a.Anybody
		for _, c := range a.Callers {
			if slices.Contains(c.Principals, principal) {
				policies = append(policies, c.Policy)
			}
		}
	}
	slices.Sort(policies)
	return slices.Compact(policies), permissive
}
