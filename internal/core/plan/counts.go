package plan

import (
	"slices"

	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// Counts is whether any sidecar counts requests by the workloads they go between, and so must be told which addresses are
// whose. Where nobody is scraped nobody pays.
func (p *Planner) Counts() bool { return p.counts }

func counts(s *snapshot.Snapshot) bool {
	return s.Mesh.FeatureFlags[names.FlagRequestStats] &&
		slices.ContainsFunc(s.Pods, func(pod *snapshot.Pod) bool { return pod.Scrape && pod.ProxyUUID != "" })
}

// countsCalls is whether the requests of the key's pods are counted.
func (p *Planner) countsCalls(k Key) bool { return p.counts && k.Metrics }

// count has the requests to services of the mesh counted, if the key says so.
func (b *builder) count(l *ir.Listener) {
	if l == nil || !b.planner.countsCalls(b.key) {
		return
	}
	for i, c := range l.Chains {
		l.Chains[i].Counted = c.Side == "" && c.Protocol.IsHTTP()
	}
}
