package plan

import (
	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/policy/trafficsplit"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// split lists the backends over which a port of a service is split.
func (b *builder) split(svc *snapshot.Service, port snapshot.ServicePort) []trafficsplit.Backend {
	if !port.Protocol.IsHTTP() {
		return b.splitBytes(svc)
	}
	return b.planner.splits[svc.ID]
}

// splitBytes leaves out splits that are about some requests: bytes fit no condition.
func (b *builder) splitBytes(svc *snapshot.Service) []trafficsplit.Backend {
	if _, conditional := b.planner.conditions[svc.ID]; conditional {
		return nil
	}
	return b.planner.splits[svc.ID]
}

// splitRoutes sends the requests that a split is about to its targets and the others to the service itself.
func (b *builder) splitRoutes(svc *snapshot.Service, port snapshot.ServicePort, targets []ir.Target) []ir.Route {
	matches, conditional := b.planner.conditions[svc.ID]
	if !conditional {
		return []ir.Route{{Targets: targets, Retry: b.retry(svc.ID)}}
	}
	routes := make([]ir.Route, 0, len(matches)+1)
	for _, m := range matches {
		routes = append(routes, ir.Route{Match: m, Targets: targets, Retry: b.retry(svc.ID)})
	}
	return append(routes, ir.Route{Targets: []ir.Target{{Cluster: b.meshCluster(svc, port), Weight: 100}}, Retry: b.retry(svc.ID)})
}
