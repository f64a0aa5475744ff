package xds

import (
	"slices"
	"strings"
	"time"

	"openservicemesh.io/osm/internal/core/envoy"
)

// lane is the state of one resource type on one stream.
type lane struct {
	typ        envoy.TypeURL
	subscribed bool // the client has sent a first request for the type
	wildcard   bool
	answer     bool // a response is due even if it is empty: Envoy's start waits for it
	holdings
	// dirty holds the names whose desired state may differ from what the client holds.
	dirty nameSet
	// owed counts the dirty names which the last Next left behind because they wait for something that will come.
	owed int
	// kept counts those which stay as long as the client refuses a version of something else.
	kept   int
	flight *flight
	// suspects are the parts of a refused response, to be sent one by one so that only what is bad stays out.
	suspects [][]string
}

// entry is what is known about one name at the client.
type entry struct {
	named bool            // subscribed by name
	cur   *envoy.Resource // acknowledged or claimed; nil: none. Body nil: content unknown here
	with  string          // endpoints only: the version of the cluster they were sent for
	open  *open           // nil while nothing is uncertain
	// cold is since when it is accepted while some of its endpoints, secrets or routes are not yet delivered; zero: not so.
	cold time.Time
}

// open is the uncertain part of an entry; few entries have one at a time.
type open struct {
	// maybe lists what was sent and may be in force: in flight, or part of a response refused as a whole.
	maybe   []*envoy.Resource
	leaving bool   // a removal is in flight
	refused string // wire version the client refused on its own; not sent again
	message string
}

// flight is the response whose answer is awaited.
type flight struct {
	nonce   string
	sentAt  time.Time
	adds    []delivery
	removes []string
	// more is whether the response held more than adds say: names that were subscribed again since.
	more bool
}

type delivery struct {
	res  *envoy.Resource
	with string
}

func newLane(t envoy.TypeURL) lane {
	return lane{typ: t}
}

// wildcardType reports whether clients may ask for all resources of the type.
func (l *lane) wildcardType() bool { return l.typ == envoy.Cluster || l.typ == envoy.Listener }

// touch marks a name for comparison, if the client is concerned with it at all.
func (l *lane) touch(name string) {
	if l.subscribed && (l.wildcard || l.has(name)) {
		l.dirty.add(name)
	}
}

func (e *entry) opened() *open {
	if e.open == nil {
		e.open = &open{}
	}
	return e.open
}

// subscribe obliges the server to send the resource even when the client was thought to hold it: it may have
// forgotten it (it subscribed anew), though until it answers it may also still use it.
func (l *lane) subscribe(name string) {
	e := l.entry(name)
	e.named = true
	if e.cur != nil {
		o := e.opened()
		o.maybe = slices.Insert(o.maybe, 0, e.cur) // older than what is in flight
		e.cur, e.with = nil, ""
	}
	if e.open != nil {
		e.open.leaving = false
	}
	if l.flight != nil { // an answer to it no longer proves that the client holds it
		before := len(l.flight.adds)
		l.flight.adds = except(l.flight.adds, func(d delivery) bool { return d.res.Name == name })
		l.flight.more = l.flight.more || len(l.flight.adds) < before
		l.flight.removes = except(l.flight.removes, func(n string) bool { return n == name })
	}
	l.dirty.add(name)
}

func (l *lane) unsubscribe(name string) {
	if name == wildcardName {
		l.wildcard, l.answer = false, false
		for n, e := range l.all() {
			if !e.named {
				l.drop(n)
			}
		}
		return
	}
	if e, _ := l.look(name); !e.named {
		return
	}
	if l.wildcard {
		l.take(name).named = false
		return
	}
	l.drop(name)
}

// held returns every version of an entry that may be in force at the client.
func (e entry) held(f func(*envoy.Resource)) {
	if e.cur != nil {
		f(e.cur)
	}
	if e.open != nil {
		for _, res := range e.open.maybe {
			f(res)
		}
	}
}

func wire(res *envoy.Resource, with string) string {
	if with == "" {
		return res.Version
	}
	return res.Version + versionSeparator + with
}

// versionSeparator stands in a version of endpoints before that of their cluster.
const versionSeparator = "."

func splitWire(v string) (version, with string) {
	if i := strings.LastIndex(v, versionSeparator); i >= 0 {
		return v[:i], v[i+1:]
	}
	return v, ""
}

func without(versions []*envoy.Resource, version string) []*envoy.Resource {
	return deleteFunc(versions, func(r *envoy.Resource) bool { return r.Version == version })
}

// except is a list without some of it, in a place of its own: the response has the list too.
func except[T any](list []T, out func(T) bool) []T {
	if !slices.ContainsFunc(list, out) {
		return list
	}
	return deleteFunc(slices.Clone(list), out)
}

func deleteFunc[T any](s []T, f func(T) bool) []T {
	out := s[:0]
	for _, v := range s {
		if !f(v) {
			out = append(out, v)
		}
	}
	return out
}
