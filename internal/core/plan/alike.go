package plan

import (
	"cmp"
	"slices"
	"sync"
	"weak"

	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
)

// calls is the part of a plan that is about what the proxy may call.
type calls struct {
	listener *ir.Listener
	routes   []ir.RouteConfig
	clusters []ir.Cluster
	trusts   []ir.Trust
}

// callsOf plans what the pod may call.
func (p *Planner) callsOf(k Key) *calls {
	b := p.builder(k)
	c := &calls{listener: b.outbound()}
	b.trace(c.listener)
	b.count(c.listener)
	b.fetchOnDemand(c.listener)
	c.routes, c.clusters, c.trusts = b.collect()
	return c
}

// alike remembers what callers of a namespace have in common where no policy tells them apart. It does not keep it from
// being collected: between changes nobody plans.
type alike struct {
	mu    sync.Mutex
	slots map[group]*slot
}

// group is callers that may have all in common: of a namespace, with their requests counted or not.
type group struct {
	namespace string
	counted   bool
}

type slot struct {
	mu   sync.Mutex
	last weak.Pointer[calls]
}

func (a *alike) slot(g group) *slot {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.slots == nil {
		a.slots = map[group]*slot{}
	}
	s := a.slots[g]
	if s == nil {
		s = &slot{}
		a.slots[g] = s
	}
	return s
}

// callsLikeOthers reports whether all that matters about a caller is its namespace, which short host names go by, whether it
// counts its requests, and whose certificate it shows.
func (p *Planner) callsLikeOthers(id meshid.Identity) bool {
	return p.snap.Mesh.Permissive && len(p.egress[id]) == 0 && !p.retrying[id]
}

// sharedCalls is callsOf for a caller that calls like others of its namespace: chains and virtual hosts are the very same.
func (p *Planner) sharedCalls(k Key) *calls {
	s := p.alike.slot(group{k.Identity.Namespace, p.countsCalls(k)})
	s.mu.Lock()
	defer s.mu.Unlock()
	common := s.last.Value()
	if common == nil {
		common = p.callsOf(Key{Identity: meshid.Identity{Namespace: k.Identity.Namespace}, Metrics: k.Metrics})
		if common.listener != nil {
			common.listener.Shared = true
		}
		for i := range common.routes {
			common.routes[i].Shared = true
		}
		s.last = weak.Make(common)
	}
	own := *common
	own.clusters = slices.Clone(common.clusters)
	cert := names.SecretServiceCert(k.Identity)
	for i := range own.clusters {
		if own.clusters[i].Kind == ir.Mesh {
			own.clusters[i].CertSecret, own.clusters[i].Alike = cert, &common.clusters[i]
		}
	}
	return &own
}

// calls plans what the pod may call, together with others where they are alike.
func (p *Planner) calls(k Key) *calls {
	if p.callsLikeOthers(k.Identity) {
		return p.sharedCalls(k)
	}
	return p.callsOf(k)
}

// join puts what the pod may call and what it answers together: sorted lists, in which a name stands once.
func join[T any](calls, answers []T, name func(*T) string) []T {
	if len(answers) == 0 {
		return calls
	}
	out := slices.Concat(calls, answers)
	slices.SortStableFunc(out, func(x, y T) int { return cmp.Compare(name(&x), name(&y)) })
	return slices.CompactFunc(out, func(x, y T) bool { return name(&x) == name(&y) })
}
