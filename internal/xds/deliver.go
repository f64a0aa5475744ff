package xds

import (
	"slices"
	"strconv"
	"time"

	"openservicemesh.io/osm/internal/core/envoy"
)

// Next returns all that may be sent now: at most one response of each type, and none of a type whose last one is
// unanswered. Types come in the order of envoy.Types, so what is referred to precedes what refers.
func (s *Session) Next(now time.Time) []*Response {
	s.deadline = time.Time{}
	if s.want.Config == nil {
		return nil
	}
	s.pruneWarming(now)
	var out []*Response
	for { // what a later type turns out not to need may set an earlier one free
		before := s.cleared
		out = append(out, s.pass(now)...)
		if s.cleared == before || !s.waits() {
			break
		}
	}
	if len(out) == 0 && s.Settled() {
		s.rest()
	}
	return out
}

// rest gives back the space of what was under way.
func (s *Session) rest() {
	for i := range s.lanes {
		l := &s.lanes[i]
		if l.typ == envoy.Endpoint {
			l.holdings.rest(&s.lane(envoy.Cluster).holdings)
		} else {
			l.holdings.rest(nil)
		}
	}
}

func (s *Session) waits() bool {
	for i := range s.lanes {
		if s.lanes[i].owed+s.lanes[i].kept > 0 {
			return true
		}
	}
	return false
}

func (s *Session) pass(now time.Time) []*Response {
	var out []*Response
	for i := range s.lanes {
		l := &s.lanes[i]
		if !l.subscribed || l.flight != nil {
			continue
		}
		adds := s.suspectAdds(now, l)
		var removes []string
		if len(adds) == 0 {
			adds, removes = s.pick(now, l)
		}
		// An empty first answer tells Envoy that there is nothing, so it must not precede listeners held back for a moment.
		if len(adds) > 0 || len(removes) > 0 || l.answer && l.owed == 0 {
			out = append(out, s.send(now, l, adds, removes))
		}
	}
	return out
}

// verdict says what is to be done about one name.
type verdict int

const (
	nothing verdict = iota // the client holds what it shall hold
	add
	remove
	wait // for something that will come: an answer, a certificate, a deadline
	keep // as long as a version that the client refuses is not replaced
)

// pick chooses additions among the dirty names or, when there are none, removals. What it chooses is no longer dirty.
func (s *Session) pick(now time.Time, l *lane) (adds []delivery, removes []string) {
	l.owed, l.kept = 0, 0
	due := l.dirty.len()
	if due == 0 {
		return nil, nil
	}
	var refs references
	size := 0
	l.dirty.keep(func(name string) bool {
		v, d := s.judge(now, l, name)
		if v == remove && !l.unanswered(name) { // else it is only told that there is no such thing
			v = s.mayRemove(now, &refs, envoy.Ref{Type: l.typ, Name: name})
		}
		switch v {
		case nothing:
			s.cleared++
			return false
		case add:
			if len(adds) == batchCount || size > batchBytes {
				break
			}
			if adds == nil {
				adds = make([]delivery, 0, min(due, batchCount))
			}
			adds, size = append(adds, d), size+d.res.Size()
			return false
		case remove:
			removes = append(removes, name)
			return true
		case keep:
			l.kept++
			return true
		}
		l.owed++
		return true
	})
	if len(adds) > 0 {
		l.owed += len(removes)
		return adds, nil
	}
	if len(removes) > 0 {
		l.dirty.keep(func(name string) bool { _, out := slices.BinarySearch(removes, name); return !out })
	}
	return nil, removes
}

// suspectAdds takes the next part of a refused response; what is no longer wanted drops out of it.
func (s *Session) suspectAdds(now time.Time, l *lane) []delivery {
	for len(l.suspects) > 0 {
		group := l.suspects[0]
		l.suspects = l.suspects[1:]
		s.cleared++
		var adds []delivery
		for _, name := range group {
			switch v, d := s.judge(now, l, name); v {
			case add:
				adds = append(adds, d)
			case nothing:
			default:
				l.touch(name)
			}
		}
		if len(adds) > 0 {
			return adds
		}
	}
	return nil
}

// judge compares what the client holds of one name with what it shall hold.
func (s *Session) judge(now time.Time, l *lane, name string) (verdict, delivery) {
	e, known := l.look(name)
	if !known && !l.wildcard {
		return nothing, delivery{}
	}
	d, ready := s.desired(now, l, name)
	switch {
	case !ready:
		return wait, d
	case d.res == nil && !known:
		return nothing, d
	case d.res != nil && d.res.OnDemand && !e.concerned():
		return nothing, d
	case d.res == nil && (e.named && e.unanswered() || e.cur != nil || e.open != nil):
		return remove, d
	case d.res == nil:
		return nothing, d
	case e.refusing() && e.open.refused == wire(d.res, d.with):
		return nothing, d
	case e.holds(d):
		l.confirm(name, d.res)
		return nothing, d
	case !s.mayAdd(now, l, d.res):
		return wait, d
	}
	return add, d
}

// holds reports whether the client has just this version and can have no other.
func (e entry) holds(d delivery) bool {
	return e.cur != nil && e.cur.Version == d.res.Version && e.with == d.with && (e.open == nil || len(e.open.maybe) == 0)
}

// concerned reports whether the client asked for a name, or has or may have something under it: then it is kept up to date,
// on demand or not.
func (e entry) concerned() bool { return e.named || !e.unanswered() }

// unanswered reports whether the client holds nothing under a name and was sent nothing.
func (e entry) unanswered() bool { return e.cur == nil && e.open == nil }

func (l *lane) unanswered(name string) bool {
	e, _ := l.look(name)
	return e.unanswered()
}

// confirm notes that the client holds a resource: perhaps it was claimed, and is known only now; an earlier refusal, if any, is
// about something no longer wanted.
func (l *lane) confirm(name string, res *envoy.Resource) {
	if e, _ := l.look(name); e.cur != res || e.open != nil {
		mine := l.take(name)
		mine.cur, mine.open = res, nil
	}
}

// desired returns what the client shall hold under a name, res nil for nothing; ready is false while that is not known yet.
func (s *Session) desired(now time.Time, l *lane, name string) (d delivery, ready bool) {
	switch l.typ {
	case envoy.Endpoint:
		return s.desiredEndpoints(now, name)
	case envoy.Secret:
		if name != s.certName {
			return delivery{res: get(s.want.Config, l.typ, name)}, true
		}
		if s.cert == nil {
			return delivery{}, false
		}
		if e, _ := l.look(name); !s.cert.Known() && e.cur != s.cert {
			return delivery{}, false
		}
		return delivery{res: s.cert}, true
	}
	return delivery{res: get(s.want.Config, l.typ, name)}, true
}

// desiredEndpoints serves the clusters of this proxy only: those in its configuration, and those it still holds
// because something refers to them.
func (s *Session) desiredEndpoints(now time.Time, name string) (d delivery, ready bool) {
	clusters := s.lane(envoy.Cluster)
	e, _ := clusters.look(name)
	cluster := get(s.want.Config, envoy.Cluster, name)
	if cluster == nil {
		if !e.fromHere() {
			return delivery{}, true
		}
		mine, _ := s.lane(envoy.Endpoint).look(name)
		if mine.cur == nil || !mine.cur.Known() {
			return delivery{}, true
		}
		d := delivery{res: mine.cur, with: mine.with}
		if s.want.Endpoints != nil {
			if res := s.want.Endpoints(name); res != nil {
				d.res = res
			}
		}
		return d, true
	}
	d.res = s.endpoints(name)
	switch {
	case e.open != nil && len(e.open.maybe) > 0:
		d.with = e.open.maybe[len(e.open.maybe)-1].Version
	case e.cur != nil:
		d.with = e.cur.Version
	case e.open != nil: // refused, never held
	case clusters.wildcard && !cluster.OnDemand || s.wait(now, s.started.Add(warmLimit)):
		return d, false // the cluster itself comes first
	default: // a client that asks for endpoints alone
		d.with = cluster.Version
	}
	return d, d.res != nil
}

// fromHere reports whether the client got the resource on this very stream, as against claiming to hold it.
func (e entry) fromHere() bool {
	known := false
	e.held(func(res *envoy.Resource) { known = known || res.Known() })
	return known
}

// send makes the response and notes that it is in flight.
func (s *Session) send(now time.Time, l *lane, adds []delivery, removes []string) *Response {
	s.nonce++
	resp := &Response{Type: l.typ, Generation: s.want.Generation, Nonce: strconv.FormatUint(s.nonce, 10), adds: adds, removes: removes}
	l.answer = false
	l.flight = &flight{nonce: resp.Nonce, sentAt: now, adds: adds, removes: removes}
	l.expect(s.unknown(l, adds))
	opens, maybes := make([]open, len(adds)), make([]*envoy.Resource, len(adds))
	for i, d := range adds {
		l.dirty.remove(d.res.Name)
		e := l.entry(d.res.Name)
		if e.open == nil {
			maybes[i] = d.res
			opens[i].maybe = maybes[i : i+1 : i+1]
			e.open = &opens[i]
		} else {
			e.open.refused, e.open.message = "", ""
			e.open.maybe = append(without(e.open.maybe, d.res.Version), d.res)
		}
		if l.typ == envoy.Cluster {
			s.lane(envoy.Endpoint).touch(d.res.Name)
		}
	}
	for _, name := range removes {
		l.entry(name).opened().leaving = true
	}
	return resp
}

// unknown counts the additions of which there is no entry yet.
func (s *Session) unknown(l *lane, adds []delivery) (n int) {
	for _, d := range adds {
		if !l.has(d.res.Name) {
			n++
		}
	}
	return n
}
