package xds

import (
	"slices"
	"time"

	"openservicemesh.io/osm/internal/core/envoy"
)

// wait reports whether the bounded wait until end still lasts, and arranges to be called when it ends.
func (s *Session) wait(now, end time.Time) bool {
	if !now.Before(end) {
		return false
	}
	if s.deadline.IsZero() || end.Before(s.deadline) {
		s.deadline = end
	}
	return true
}

// watchWarmth begins to watch an accepted resource, one of some, until all that the client fetches for it by name is delivered.
func (s *Session) watchWarmth(now time.Time, e *entry, among int) {
	if t := e.cur.Type; t != envoy.Cluster && t != envoy.Listener {
		return
	}
	if s.warm(e.cur) {
		s.warmed = s.warmed || !e.cold.IsZero()
		e.cold = time.Time{}
		return
	}
	end := now.Add(warmLimit)
	if len(s.cold) == 0 {
		s.cold, s.warmBy = slices.Grow(s.cold, among), end
	}
	if e.cold.IsZero() {
		s.cold = append(s.cold, e)
	}
	e.cold = now
}

// pruneWarming ends the watch over what is complete, gone or overdue.
func (s *Session) pruneWarming(now time.Time) {
	if len(s.cold) == 0 || !s.warmed && s.wait(now, s.warmBy) {
		return
	}
	s.warmed, s.warmBy = false, now.Add(warmLimit)
	s.cold = slices.DeleteFunc(s.cold, func(e *entry) bool {
		end := e.cold.Add(warmLimit)
		if e.cur == nil || e.cold.IsZero() || s.warm(e.cur) || !now.Before(end) {
			e.cold = time.Time{}
			return true
		}
		if end.Before(s.warmBy) {
			s.warmBy = end
		}
		return false
	})
	if len(s.cold) == 0 {
		s.cold = nil // thousands of proxies wait rarely: do not keep the space
		return
	}
	s.wait(now, s.warmBy)
}

// warm reports whether the endpoints, secrets and routes a resource names were delivered and acknowledged.
func (s *Session) warm(res *envoy.Resource) bool {
	for _, ref := range res.Refs {
		switch ref.Type {
		case envoy.Endpoint:
			e, _ := s.lane(ref.Type).look(ref.Name)
			if !e.delivered() || e.cur != nil && e.with != res.Version && !e.refusing() {
				return false
			}
		case envoy.Secret, envoy.Route:
			if e, _ := s.lane(ref.Type).look(ref.Name); !e.delivered() {
				return false
			}
		}
	}
	return true
}

// delivered reports whether the client holds the resource, or has refused it, which no waiting mends.
func (e entry) delivered() bool { return e.cur != nil || e.refusing() }

// refusing reports whether the client refused the version last sent.
func (e entry) refusing() bool { return e.open != nil && e.open.refused != "" }

// mayAdd keeps a listener or route back until every cluster it names can carry traffic: make before break. Clusters
// outside the configuration (those of the bootstrap) and clusters the client itself refuses do not count: waiting for
// them would withhold everything else in the same listener or route.
func (s *Session) mayAdd(now time.Time, l *lane, res *envoy.Resource) bool {
	if l.typ != envoy.Listener && l.typ != envoy.Route {
		return true
	}
	clusters := s.lane(envoy.Cluster)
	for _, ref := range res.Refs {
		if ref.Type != envoy.Cluster {
			continue
		}
		cluster := get(s.want.Config, envoy.Cluster, ref.Name)
		e, known := clusters.look(ref.Name)
		if cluster == nil || cluster.OnDemand && e.cur == nil {
			continue // of the bootstrap; or the client fetches it with the first call, which waits for it
		}
		if !clusters.subscribed {
			if s.wait(now, s.started.Add(warmLimit)) {
				return false
			}
			continue
		}
		switch {
		case !known && !clusters.wildcard:
			continue // a client that picks its clusters by name
		case !known, e.open != nil && e.open.leaving:
			return false
		case e.cur == nil && !e.refusing():
			return false
		}
		if !e.cold.IsZero() && s.wait(now, e.cold.Add(warmLimit)) {
			return false
		}
	}
	return true
}

// references is what the client's resources refer to, gathered when a removal first asks for it.
type references struct {
	gathered bool
	firm     map[envoy.Ref]bool // by something that will be replaced in time
	stuck    map[envoy.Ref]bool // only by something that stays: its replacement was refused by the client
	// unknown tells, by referring type, that the client holds or may hold something whose content is not known here:
	// wait while that is going to change, keep while the client refuses the replacement.
	unknown map[envoy.TypeURL]verdict
}

func (r *references) doubt(t envoy.TypeURL, v verdict) {
	if r.unknown[t] != wait {
		r.unknown[t] = v
	}
}

func (s *Session) gather(now time.Time, r *references) {
	if r.gathered {
		return
	}
	r.gathered = true
	r.firm, r.stuck, r.unknown = map[envoy.Ref]bool{}, map[envoy.Ref]bool{}, map[envoy.TypeURL]verdict{}
	routes := s.lane(envoy.Route)
	for _, t := range []envoy.TypeURL{envoy.Listener, envoy.Route, envoy.Cluster} { // what refers before what is referred to
		l := s.lane(t)
		if !l.subscribed && s.wait(now, s.started.Add(claimLimit)) && l.typ != envoy.Route {
			r.doubt(l.typ, wait) // after a reconnect the client has yet to tell
		}
		for name, e := range l.all() {
			into, v := r.stuck, keep
			if s.changing(l, name, r) {
				into, v = r.firm, wait
			}
			e.held(func(res *envoy.Resource) {
				if !res.Known() {
					r.doubt(l.typ, v)
				}
				for _, ref := range res.Refs {
					into[ref] = true
					if ref.Type == envoy.Route && !routes.has(ref.Name) && s.wait(now, s.started.Add(claimLimit)) {
						r.doubt(envoy.Route, wait) // likewise
					}
				}
			})
		}
	}
}

// changing reports whether the client's version of a resource is about to be replaced or removed. One that shall go
// but must stay for the sake of something stuck is stuck itself; what refers to it was gathered before.
func (s *Session) changing(l *lane, name string, r *references) bool {
	if l.flight != nil || len(l.suspects) > 0 {
		return true
	}
	ref := envoy.Ref{Type: l.typ, Name: name}
	if !l.dirty.has(name) {
		return false
	}
	return get(s.want.Config, l.typ, name) != nil || r.allows(ref) != keep
}

// mayRemove lets a resource go only when nothing that may be in force at the client refers to it.
func (s *Session) mayRemove(now time.Time, r *references, ref envoy.Ref) verdict {
	s.gather(now, r)
	return r.allows(ref)
}

func (r *references) allows(ref envoy.Ref) verdict {
	switch {
	case r.firm[ref]:
		return wait
	case r.stuck[ref]:
		return keep
	}
	doubt := remove
	for _, t := range referrers(ref.Type) {
		if v := r.unknown[t]; v == wait || v == keep && doubt != wait {
			doubt = v
		}
	}
	return doubt
}

// referrers lists the types whose resources can name one of type t.
func referrers(t envoy.TypeURL) []envoy.TypeURL {
	switch t {
	case envoy.Cluster:
		return []envoy.TypeURL{envoy.Listener, envoy.Route}
	case envoy.Endpoint:
		return []envoy.TypeURL{envoy.Cluster}
	case envoy.Secret:
		return []envoy.TypeURL{envoy.Listener, envoy.Cluster}
	case envoy.Route:
		return []envoy.TypeURL{envoy.Listener}
	}
	return nil
}
