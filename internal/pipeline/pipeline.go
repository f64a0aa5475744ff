package pipeline

import (
	"bytes"
	"sync"
	"sync/atomic"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/plan"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// Pipeline makes one View after another. Apply and SetRoots may be called from several goroutines.
type Pipeline struct {
	memory *envoy.Memory

	mu    sync.Mutex
	roots envoy.Bundle
	last  *View
}

// New returns a pipeline whose sidecars will verify each other by roots.
func New(roots envoy.Bundle) *Pipeline { return &Pipeline{memory: envoy.NewMemory(), roots: roots} }

// Apply makes the View of a snapshot. changed says how it differs from the snapshot applied before.
func (p *Pipeline) Apply(s *snapshot.Snapshot, changed snapshot.Changed) (*View, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	v := &View{memory: p.memory, snap: s, roots: p.roots}
	var err error
	if p.last == nil || changed.Config {
		p.memory.Age()
		v.planner = plan.New(s)
		v.configs = newConfigs(p.last)
		v.endpoints, err = allEndpoints(v, p.last)
	} else {
		v.planner, v.configs = p.last.planner, p.last.configs
		v.endpoints, err = changedEndpoints(v, p.last, changed.Endpoints)
	}
	if err != nil {
		return nil, err
	}
	p.last = v
	return v, nil
}

// SetRoots changes the trust bundle and returns the View that carries it, or nil when there is none yet or the bundle
// is the one in force.
func (p *Pipeline) SetRoots(roots envoy.Bundle) *View {
	p.mu.Lock()
	defer p.mu.Unlock()
	if bytes.Equal(roots, p.roots) {
		return nil
	}
	p.roots = roots
	if p.last == nil {
		return nil
	}
	v := *p.last
	v.roots, v.configs = roots, newConfigs(p.last)
	p.last = &v
	return &v
}

// View is one generation of everything proxies may be told.
type View struct {
	memory    *envoy.Memory
	snap      *snapshot.Snapshot
	planner   *plan.Planner
	roots     envoy.Bundle
	configs   *configs
	endpoints map[string]*endpointSet
}

// Roots is the trust bundle of the view's sidecars. The caller must not change it.
func (v *View) Roots() []byte { return v.roots }

// Generation is the snapshot's.
func (v *View) Generation() uint64 { return v.snap.Generation }

// Basis is equal in views between which nothing but endpoints changed.
func (v *View) Basis() any { return v.configs }

// Snapshot is what the view was made from.
func (v *View) Snapshot() *snapshot.Snapshot { return v.snap }

// Planner is the snapshot with its policies compiled.
func (v *View) Planner() *plan.Planner { return v.planner }

// Findings are the problems of the policies, sorted.
func (v *View) Findings() []snapshot.Finding { return v.planner.Findings() }

// Place returns the key of a pod's proxy; false when the snapshot does not know the pod (yet).
func (v *View) Place(pod meshid.Pod) (plan.Key, bool) {
	p := v.snap.Pod(pod)
	if p == nil {
		return plan.Key{}, false
	}
	return v.planner.KeyOf(p), true
}

// Endpoints returns the addresses of a cluster, nil when the snapshot has no such service port. The pointer is that of
// the view before when the addresses are the same.
func (v *View) Endpoints(cluster string) *envoy.Resource {
	if e := v.endpoints[cluster]; e != nil {
		return e.resource
	}
	return nil
}

// Config returns the resources of one kind of proxy, or nil when they cannot be encoded. They are computed when first
// asked for; equal content keeps the pointer of the view before.
func (v *View) Config(key plan.Key) *envoy.Resources {
	e := v.configs.entry(key)
	e.once.Do(func() { e.done.Store(v.compute(key, v.configs.before[key].result)) })
	return e.done.Load().resources
}

func (v *View) compute(key plan.Key, before *result) *result {
	var old *envoy.Resources
	if before != nil {
		old = before.resources
	}
	set, err := v.memory.Translate(v.planner.Plan(key), v.roots, old)
	if err == nil && old != nil && set.Version == old.Version {
		return before
	}
	return &result{set, err}
}

// configs memoises the resources of every key asked for.
type configs struct {
	mu     sync.Mutex
	byKey  map[plan.Key]*entry
	before map[plan.Key]kept // read-only
}

// kept is a result of an earlier view; idle counts the views since in which nobody asked for it.
type kept struct {
	*result
	idle int
}

// maxIdle is how many views a result outlives being asked for. A burst of changes makes views that nobody looks at, and
// proxies that are gone are never asked for again.
const maxIdle = 16

type entry struct {
	once sync.Once
	done atomic.Pointer[result]
}

type result struct {
	resources *envoy.Resources
	err       error
}

// newConfigs starts a memo that may take over finished results of the last view's.
func newConfigs(last *View) *configs {
	c := &configs{byKey: map[plan.Key]*entry{}}
	if last != nil {
		c.before = last.configs.finished()
	}
	return c
}

// finished returns the results so far, and those taken over that nobody asked for lately. One that is still being
// computed is left out and will be computed again.
func (c *configs) finished() map[plan.Key]kept {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make(map[plan.Key]kept, len(c.byKey))
	for k, b := range c.before {
		if b.idle < maxIdle {
			out[k] = kept{b.result, b.idle + 1}
		}
	}
	for k, e := range c.byKey {
		if r := e.done.Load(); r != nil && r.err == nil {
			out[k] = kept{result: r}
		}
	}
	return out
}

func (c *configs) entry(key plan.Key) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byKey[key]
	if e == nil {
		e = &entry{}
		c.byKey[key] = e
	}
	return e
}
