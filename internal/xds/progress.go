package xds

import (
	"context"
	"time"

	"openservicemesh.io/osm/internal/core/envoy"
)

// State is how far a proxy is with one type of resource.
type State string

// The states. A proxy that refuses a resource keeps the version it had before.
const (
	Synced   State = "SYNCED"
	Stale    State = "STALE"
	Refusing State = "REJECTED"
	// NotAsked: the proxy has not subscribed to the type (yet).
	NotAsked State = "NOT SENT"
)

// TypeProgress is how far a proxy is with one type of resource.
type TypeProgress struct {
	State State `json:"state"`
	// Resources is how many the proxy has acknowledged.
	Resources int `json:"resources"`
}

// Progress is how far one proxy is.
type Progress struct {
	Status
	// Types is by the short name of the type: CDS, EDS, LDS, RDS, SDS.
	Types map[string]TypeProgress `json:"types"`
	// Certificate is the version of the workload certificate that the proxy has acknowledged; empty before that.
	Certificate string `json:"certificate,omitempty"`
}

// shortNames are those that users of Envoy know the types by.
var shortNames = map[envoy.TypeURL]string{
	envoy.Cluster: "CDS", envoy.Endpoint: "EDS", envoy.Listener: "LDS", envoy.Route: "RDS", envoy.Secret: "SDS",
}

// Progress says how far the client is with each type. Call it after Next.
func (s *Session) Progress() map[string]TypeProgress {
	out := make(map[string]TypeProgress, len(s.lanes))
	for i := range s.lanes {
		l := &s.lanes[i]
		p := TypeProgress{State: Synced}
		refused := false
		for _, e := range l.all() {
			if e.cur != nil {
				p.Resources++
			}
			refused = refused || e.open != nil && e.open.refused != ""
		}
		switch {
		case refused:
			p.State = Refusing
		case l.flight != nil || l.answer || l.owed > 0 || len(l.suspects) > 0:
			p.State = Stale
		case !l.subscribed && p.Resources == 0:
			p.State = NotAsked
		}
		out[shortNames[l.typ]] = p
	}
	return out
}

// Behind is how many proxies hold a resource of a type in another version than the present view has it. Of workload
// certificates, which no view has, it knows nothing.
func (h *Hub) Behind(ctx context.Context, t envoy.TypeURL) int {
	behind := 0
	for _, c := range h.oldestFirst(h.conns) {
		h.mu.Lock()
		var config *envoy.Resources
		if c.group != nil {
			config = c.group.config
		}
		h.mu.Unlock()
		asking, cancel := context.WithTimeout(ctx, time.Second)
		current := false
		c.inspect(asking, func(s *Session) { current = holds(s.Held(t), config, t) })
		if !current && c.stream.Context().Err() == nil {
			behind++
		}
		cancel()
	}
	return behind
}

func holds(held map[string]string, config *envoy.Resources, t envoy.TypeURL) bool {
	for name, version := range held {
		if res := get(config, t, name); res != nil && res.Version != version {
			return false
		}
	}
	return true
}

// Progress lists all streams with how far their proxies are, oldest first. A stream that is too busy to say within the
// time given by ctx, or a second, has no Types.
func (h *Hub) Progress(ctx context.Context) []Progress {
	conns := h.oldestFirst(h.conns)
	out := make([]Progress, 0, len(conns))
	for _, c := range conns {
		p := Progress{Status: c.status()}
		asking, cancel := context.WithTimeout(ctx, time.Second)
		c.inspect(asking, func(s *Session) { p.Types, p.Certificate = s.Progress(), s.Held(envoy.Secret)[s.certName] })
		cancel()
		out = append(out, p)
	}
	return out
}
