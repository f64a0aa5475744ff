package plan

import (
	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// maxPreloaded is how many clusters of services a proxy is given before it calls them, where nothing else is said. A cluster
// takes about 50 kB of a sidecar's memory.
const maxPreloaded = 200

// fetchOnDemand has calls wait for clusters that the proxy does not have, and leaves it to the proxy to ask for those of
// services where the mesh says so or they are many. How many they are changes no chain: another chain would end its
// connections.
func (b *builder) fetchOnDemand(l *ir.Listener) {
	mode := b.planner.snap.Mesh.Clusters
	if l == nil || mode == snapshot.ClustersPreloaded {
		return
	}
	for i, c := range l.Chains {
		l.Chains[i].OnDemand = c.Side == ""
	}
	called := b.calledOnly()
	if mode == snapshot.ClustersAuto && len(called) <= maxPreloaded {
		return
	}
	for _, name := range called {
		c := b.clusters[name]
		c.OnDemand = true
		b.clusters[name] = c
	}
}

// calledOnly lists the clusters of services that nothing but calls lead to: a copy of a request does not wait for its cluster.
func (b *builder) calledOnly() []string {
	mirrors := map[string]bool{}
	for _, rc := range b.routes {
		for _, v := range rc.VirtualHosts {
			for _, r := range v.Routes {
				if r.Mirror != nil {
					mirrors[r.Mirror.Cluster] = true
				}
			}
		}
	}
	var out []string
	for name, c := range b.clusters {
		if c.Kind == ir.Mesh && !mirrors[name] {
			out = append(out, name)
		}
	}
	return out
}
