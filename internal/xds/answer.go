package xds

import (
	"cmp"
	"strings"
	"time"

	"openservicemesh.io/osm/internal/core/envoy"
)

// answered takes in the client's word on the response in flight, if the request carries it. Nonces of older streams
// and repeated answers mean nothing.
func (s *Session) answered(now time.Time, l *lane, req *Request) *Outcome {
	f := l.flight
	if f == nil || req.Nonce != f.nonce {
		return nil
	}
	l.flight = nil
	s.warmed = s.warmed || l.typ != envoy.Cluster || req.Refused || len(f.removes) > 0
	out := &Outcome{Type: l.typ, Took: now.Sub(f.sentAt), Resources: len(f.adds)}
	if req.Refused {
		message := cmp.Or(req.Message, "refused without a message")
		out.Refused = strings.Clone(strings.ToValidUTF8(message[:min(len(message), maxMessage)], ""))
		s.refused(l, f, out.Refused)
	} else {
		s.accepted(now, l, f)
	}
	for _, name := range f.removes {
		s.removed(l, name)
	}
	for _, d := range f.adds {
		if l.typ == envoy.Cluster {
			s.lane(envoy.Endpoint).touch(d.res.Name)
		}
	}
	return out
}

func (s *Session) accepted(now time.Time, l *lane, f *flight) {
	for _, d := range f.adds {
		e := l.take(d.res.Name)
		if e == nil { // unsubscribed since
			continue
		}
		e.cur, e.with, e.open = d.res, d.with, nil
		s.watchWarmth(now, e, len(f.adds))
	}
}

// refused finds out which resource is bad. Envoy applies the good part of a refused response for some types and stops
// at the first error for others, so all of it counts as perhaps in force until it was sent and answered in
// smaller parts; a resource refused alone is quarantined, and its predecessor stays in force.
func (s *Session) refused(l *lane, f *flight, message string) {
	s.refusals = true
	if len(f.adds) == 1 && !f.more {
		d := f.adds[0]
		e := l.take(d.res.Name)
		if e == nil {
			return
		}
		o := e.opened()
		o.maybe = without(o.maybe, d.res.Version)
		o.refused, o.message = wire(d.res, d.with), message
		return
	}
	names := make([]string, 0, len(f.adds))
	for _, d := range f.adds {
		if l.has(d.res.Name) {
			names = append(names, d.res.Name)
		}
	}
	half := (len(names) + 1) / 2
	for _, group := range [][]string{names[half:], names[:half]} {
		if len(group) > 0 {
			l.suspects = append([][]string{group}, l.suspects...)
		}
	}
}

// removed forgets a resource. A refused removal counts as done: Envoy refuses it only for what it never got from here.
func (s *Session) removed(l *lane, name string) {
	e := l.take(name)
	if e == nil {
		return
	}
	if e.named {
		e.cur, e.with, e.open = nil, "", nil
	} else {
		l.drop(name)
	}
	if get(s.want.Config, l.typ, name) != nil {
		l.touch(name)
	}
	if l.typ == envoy.Cluster {
		s.lane(envoy.Endpoint).touch(name)
	}
}
