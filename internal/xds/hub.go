package xds

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/plan"
)

// streamsPerPod is how many streams one pod may have: an Envoy that reconnects may be back before its old stream is
// found dead. One more cuts the oldest.
const streamsPerPod = 2

// A stream that has more than few names to send waits until fewer than largeAtOnce others are at it, each for largeMost at most.
const (
	few         = 32
	largeAtOnce = 128
	largeMost   = 200 * time.Millisecond
)

// Hub knows all streams and tells each what of a new View concerns it. Make it with NewHub.
type Hub struct {
	opts  Options
	certs Certificates
	// large lets streams send much.
	large *gate

	setting sync.Mutex // one SetView at a time
	view    atomic.Pointer[View]
	// generation is the newest whose news every stream has in its mail. A stream that owes and is owed nothing has it.
	generation atomic.Uint64
	mu         sync.Mutex
	nextID     uint64
	conns      map[*conn]struct{}
	// behind are the streams that are not settled, refusing those whose proxies refuse something: both are few most of the
	// time, and so is what a change costs for the others.
	behind, refusing map[*conn]struct{}
	byPod            map[meshid.Pod][]*conn // oldest first
	groups           map[plan.Key]*group
	// interest leads from a cluster to the groups whose configuration has its endpoints.
	interest map[string]map[*group]struct{}
	// progress is closed and replaced when a connection acknowledges or leaves.
	progress chan struct{}
	waiting  int // callers of WaitAcked
	closed   bool
}

// group is the connections that share one configuration.
type group struct {
	key    plan.Key
	config *envoy.Resources
	conns  map[*conn]struct{}
}

// NewHub makes a hub without a view: streams that come wait for the first.
func NewHub(certs Certificates, opts Options) *Hub {
	return &Hub{
		opts: opts.withDefaults(), certs: certs, large: newGate(largeAtOnce, largeMost),
		conns: map[*conn]struct{}{}, behind: map[*conn]struct{}{}, refusing: map[*conn]struct{}{}, byPod: map[meshid.Pod][]*conn{},
		groups: map[plan.Key]*group{}, interest: map[string]map[*group]struct{}{},
		progress: make(chan struct{}),
	}
}

// Run reissues certificates whenever Certificates.Changed says so, until ctx ends; then it closes all streams.
func (h *Hub) Run(ctx context.Context) {
	changed := h.certs.Changed()
	for {
		select {
		case <-ctx.Done():
			h.close()
			return
		case <-changed:
			changed = h.certs.Changed()
			h.mu.Lock()
			for c := range h.conns {
				c.post(func(m *mail) { m.reissue = true })
			}
			h.mu.Unlock()
		}
	}
}

func (h *Hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for c := range h.conns {
		c.post(func(m *mail) { m.end = errShutdown })
	}
}

// SetView makes v the present view and wakes exactly the streams for which something differs: their configuration's
// pointer, the pointer of an endpoint resource their configuration uses, or the pod's key. When endpoints alone differ the
// others are not even looked at.
func (h *Hub) SetView(v View) {
	h.setting.Lock()
	defer h.setting.Unlock()
	old := h.currentView()
	if old == nil || v.Basis() == nil || old.Basis() != v.Basis() {
		h.setConfiguration(old, v)
	} else {
		h.setEndpoints(old, v)
	}
}

func (h *Hub) setConfiguration(old, v View) {
	h.prepare(v)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.view.Store(&v)
	changed := h.changedEndpoints(old, v)
	for _, g := range h.groups {
		if config := v.Config(g.key); config != g.config {
			h.setInterest(g, config)
		}
	}
	for c := range h.conns {
		h.deliver(c, v, changed)
	}
	h.shown(v)
}

func (h *Hub) setEndpoints(old, v View) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.view.Store(&v)
	changed := h.changedEndpoints(old, v)
	for g := range changed {
		for c := range g.conns {
			h.deliver(c, v, changed)
		}
	}
	h.shown(v)
}

// shown says that whoever is concerned knows of a view; the caller holds the lock.
func (h *Hub) shown(v View) {
	h.generation.Store(v.Generation())
	h.announce()
}

// deliver posts all that a view means for one connection as one piece of mail: were it several, the connection
// could take the first and report the generation acknowledged before the next.
func (h *Hub) deliver(c *conn, v View, changed map[*group][]string) {
	before := c.group
	known, right := h.place(c, v)
	// A pod may come into another group by the very view in which addresses changed. What it holds is by its old one.
	names := changed[c.group]
	if before != nil && before != c.group {
		names = slices.Concat(names, changed[before])
	}
	c.post(func(m *mail) {
		m.generation = v.Generation()
		if !right {
			m.end = errIdentity
			return
		}
		if m.unknown == known {
			m.unknown, m.urgent = !known, true
		}
		if c.group == nil {
			return
		}
		m.key = c.group.key
		if m.config != c.group.config {
			m.config, m.urgent = c.group.config, true
		}
		if len(names) > 0 {
			m.endpoints, m.urgent = append(m.endpoints, names...), true
		}
	})
}

// prepare computes the configurations in use before the lock is taken, so that joining streams are not held up.
func (h *Hub) prepare(v View) {
	h.mu.Lock()
	keys := make([]plan.Key, 0, len(h.groups))
	for k := range h.groups {
		keys = append(keys, k)
	}
	h.mu.Unlock()
	for _, k := range keys {
		v.Config(k)
	}
}

// changedEndpoints returns, per group, the clusters whose endpoints differ between two views.
func (h *Hub) changedEndpoints(old, v View) map[*group][]string {
	out := map[*group][]string{}
	for name, groups := range h.interest {
		if old != nil && old.Endpoints(name) == v.Endpoints(name) {
			continue
		}
		for g := range groups {
			out[g] = append(out[g], name)
		}
	}
	return out
}

func (h *Hub) setInterest(g *group, config *envoy.Resources) {
	old := g.config
	g.config = config
	eachDifference(list(old, envoy.Cluster), list(config, envoy.Cluster), func(name string) {
		res := get(config, envoy.Cluster, name)
		if res != nil && slices.ContainsFunc(res.Refs, func(r envoy.Ref) bool { return r.Type == envoy.Endpoint }) {
			if h.interest[name] == nil {
				h.interest[name] = map[*group]struct{}{}
			}
			h.interest[name][g] = struct{}{}
			return
		}
		if groups := h.interest[name]; groups != nil {
			delete(groups, g)
			if len(groups) == 0 {
				delete(h.interest, name)
			}
		}
	})
}

// place puts a connection into the group of its pod's key. A pod that a view no longer knows keeps its group until
// the stream is cut; a pod that belongs to another identity than the token's is not placed right.
func (h *Hub) place(c *conn, v View) (known, right bool) {
	key, known := v.Place(c.peer.Pod)
	switch {
	case !known:
		return false, true
	case key.Identity != c.peer.Identity:
		return true, false
	case c.group != nil && c.group.key == key:
		return true, true
	}
	h.leaveGroup(c)
	g := h.groups[key]
	if g == nil {
		g = &group{key: key, conns: map[*conn]struct{}{}}
		h.groups[key] = g
		h.setInterest(g, v.Config(key))
	}
	g.conns[c] = struct{}{}
	c.group = g
	return true, true
}

func (h *Hub) leaveGroup(c *conn) {
	g := c.group
	if g == nil {
		return
	}
	c.group = nil
	delete(g.conns, c)
	if len(g.conns) == 0 {
		h.setInterest(g, nil)
		delete(h.groups, g.key)
	}
}

// join registers a stream; the error is the one to end it with.
func (h *Hub) join(c *conn) error {
	limit := 0
	if h.opts.MaxConnections != nil {
		limit = h.opts.MaxConnections()
	}
	if v := h.currentView(); v != nil { // compute outside of the lock; a newer view only means to compute again
		if key, ok := v.Place(c.peer.Pod); ok && key.Identity == c.peer.Identity {
			v.Config(key)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return errShutdown
	}
	if limit > 0 && len(h.conns) >= limit {
		h.opts.Observer.Refused(CodeTooMany)
		return errTooMany
	}
	h.nextID++
	c.id = h.nextID
	h.conns[c], h.behind[c] = struct{}{}, struct{}{}
	h.byPod[c.peer.Pod] = append(h.byPod[c.peer.Pod], c)
	if mine := h.byPod[c.peer.Pod]; len(mine) > streamsPerPod {
		mine[0].post(func(m *mail) { m.end = errReplaced })
	}
	c.post(func(m *mail) { m.unknown = true })
	if v := h.currentView(); v != nil {
		h.deliver(c, v, nil)
	}
	return nil
}

func (h *Hub) leave(c *conn) {
	if len(c.status().Rejections) > 0 {
		defer h.opts.Refusals()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.leaveGroup(c)
	delete(h.conns, c)
	delete(h.behind, c)
	delete(h.refusing, c)
	left := slices.DeleteFunc(h.byPod[c.peer.Pod], func(o *conn) bool { return o == c })
	if len(left) == 0 {
		delete(h.byPod, c.peer.Pod)
	} else {
		h.byPod[c.peer.Pod] = left
	}
	h.announce()
}

// note takes in what a stream has published.
func (h *Hub) note(c *conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c.mu.Lock() // a view may have come since
	settled, refusing := c.settled, len(c.rejections) > 0
	c.mu.Unlock()
	put(h.behind, c, !settled)
	put(h.refusing, c, refusing)
	if settled {
		h.announce()
	}
}

// put adds a stream to a set or takes it out.
func put(set map[*conn]struct{}, c *conn, in bool) {
	if in {
		set[c] = struct{}{}
	} else {
		delete(set, c)
	}
}

// announce wakes those in WaitAcked; the caller holds the lock.
func (h *Hub) announce() {
	if h.waiting > 0 {
		close(h.progress)
		h.progress = make(chan struct{})
	}
}

func (h *Hub) currentView() View {
	if v := h.view.Load(); v != nil {
		return *v
	}
	return nil
}

// endpoints is what sessions ask; the answer is always that of the present view.
func (h *Hub) endpoints(cluster string) *envoy.Resource {
	if v := h.currentView(); v != nil {
		return v.Endpoints(cluster)
	}
	return nil
}

// Len returns the number of streams.
func (h *Hub) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.conns)
}

// WaitAcked waits until every stream has acknowledged generation gen or a later one, or ctx ends. What a client
// refused does not hold it up; see Rejections.
func (h *Hub) WaitAcked(ctx context.Context, gen uint64) error {
	return h.wait(ctx, func(acked uint64) bool { return acked >= gen })
}

// WaitTaken is WaitAcked without the streams that have acknowledged nothing yet: their proxies start with the newest
// generation, so they never work by an older one.
func (h *Hub) WaitTaken(ctx context.Context, gen uint64) error {
	return h.wait(ctx, func(acked uint64) bool { return acked >= gen || acked == 0 })
}

// Taken is the newest generation, up to a given one, that WaitTaken would not wait for.
func (h *Hub) Taken(newest uint64) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.conns) > len(h.behind) {
		newest = min(newest, h.generation.Load())
	}
	for c := range h.behind {
		if acked := c.acked(); acked > 0 {
			newest = min(newest, acked)
		}
	}
	return newest
}

func (h *Hub) wait(ctx context.Context, enough func(acked uint64) bool) error {
	h.await(1)
	defer h.await(-1)
	for {
		h.mu.Lock()
		progress, done := h.progress, h.reached(enough)
		h.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-progress:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// reached looks at the streams that are behind; all others have the newest generation. The caller holds the lock.
func (h *Hub) reached(enough func(acked uint64) bool) bool {
	if len(h.conns) > len(h.behind) && !enough(h.generation.Load()) {
		return false
	}
	for c := range h.behind {
		if !enough(c.acked()) {
			return false
		}
	}
	return true
}

func (h *Hub) await(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting += n
}
