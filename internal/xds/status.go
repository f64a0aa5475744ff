package xds

import (
	"context"
	"maps"
	"slices"
	"time"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/meshid"
)

// Lag is how many streams owe an answer or are owed something, and how many proxies refuse a resource.
func (h *Hub) Lag() (behind, refusing int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.behind), len(h.refusing)
}

// Status describes one stream.
type Status struct {
	Peer       Peer      `json:"peer"`
	Key        string    `json:"key"`
	Since      time.Time `json:"since"`
	Generation uint64    `json:"generation"`
	// Acked is the newest generation the proxy has acknowledged in full; 0 before the first.
	Acked      uint64      `json:"acked"`
	Rejections []Rejection `json:"rejections,omitempty"`
}

// oldestFirst lists one of the hub's sets of streams.
func (h *Hub) oldestFirst(set map[*conn]struct{}) []*conn {
	h.mu.Lock()
	conns := slices.Collect(maps.Keys(set))
	h.mu.Unlock()
	slices.SortFunc(conns, func(a, b *conn) int { return int(a.id) - int(b.id) })
	return conns
}

// Connections lists all streams, oldest first.
func (h *Hub) Connections() []Status {
	conns := h.oldestFirst(h.conns)
	out := make([]Status, 0, len(conns))
	for _, c := range conns {
		out = append(out, c.status())
	}
	return out
}

// Rejected is one refused resource version and the proxies that refuse it.
type Rejected struct {
	Rejection
	Pods []meshid.Pod `json:"pods"`
}

// Rejections lists what proxies refuse at present, by resource version.
func (h *Hub) Rejections() []Rejected {
	index := map[[3]string]int{}
	var out []Rejected
	for _, c := range h.oldestFirst(h.refusing) {
		s := c.status()
		for _, r := range s.Rejections {
			k := [3]string{string(r.Type), r.Name, r.Version}
			i, ok := index[k]
			if !ok {
				i = len(out)
				index[k] = i
				out = append(out, Rejected{Rejection: r})
			}
			out[i].Pods = append(out[i].Pods, s.Peer.Pod)
		}
	}
	slices.SortFunc(out, func(a, b Rejected) int {
		return envoy.Ref{Type: a.Type, Name: a.Name}.Compare(envoy.Ref{Type: b.Type, Name: b.Name})
	})
	return out
}

// Held returns type → name → version of all that a pod's newest stream has acknowledged; nil without a stream.
func (h *Hub) Held(ctx context.Context, pod meshid.Pod) map[envoy.TypeURL]map[string]string {
	h.mu.Lock()
	conns := slices.Clone(h.byPod[pod])
	h.mu.Unlock()
	if len(conns) == 0 {
		return nil
	}
	out := map[envoy.TypeURL]map[string]string{}
	conns[len(conns)-1].inspect(ctx, func(s *Session) {
		for _, t := range envoy.Types() {
			out[t] = s.Held(t)
		}
	})
	return out
}
