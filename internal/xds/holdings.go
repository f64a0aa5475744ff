package xds

import (
	"iter"
	"slices"
	"strings"

	"openservicemesh.io/osm/internal/core/envoy"
)

// holdings are the names of one type that a client has subscribed, holds or may hold, with what is known of each.
//
// Thousands of streams wait most of the time, and then nothing about their names is uncertain. Such a name takes a pointer in
// a sorted list (two, of endpoints) instead of a map's place, an entry and the client's own spelling of the name: at 100 services
// that was 14 kB of each stream, and is 2.
type holdings struct {
	// apart has the names which are not as sure has them; nil: the name is in sure no longer.
	apart map[string]*entry
	// sure has the others, by whether they are subscribed by name.
	sure [2]sure
	n    int
	// room is where the next entries go: they are made many at a time.
	room []entry
}

// sure lists, sorted by name, resources that a client has acknowledged, with nothing in flight and nothing refused.
type sure []held

// held is one of them; of is, for endpoints, the cluster for whose version they were sent.
type held struct{ res, of *envoy.Resource }

// smallMap is how many keys a Go map holds in its first group.
const smallMap = 8

func side(named bool) int {
	if named {
		return 1
	}
	return 0
}

func (s sure) find(name string) (int, bool) {
	return slices.BinarySearchFunc(s, name, func(h held, name string) int { return strings.Compare(h.res.Name, name) })
}

func (h held) entry(named bool) entry {
	e := entry{named: named, cur: h.res}
	if h.of != nil {
		e.with = h.of.Version
	}
	return e
}

// len is the number of names.
func (h *holdings) len() int { return h.n }

func (h *holdings) has(name string) bool {
	_, ok := h.look(name)
	return ok
}

// look returns what is known of a name, to be read only; an empty entry when nothing is.
func (h *holdings) look(name string) (entry, bool) {
	if e, ok := h.apart[name]; ok {
		if e == nil {
			return entry{}, false
		}
		return *e, true
	}
	for k := range h.sure {
		if i, ok := h.sure[k].find(name); ok {
			return h.sure[k][i].entry(k == 1), true
		}
	}
	return entry{}, false
}

// take returns the entry of a name in order to change it; nil when there is none.
func (h *holdings) take(name string) *entry {
	if e, ok := h.apart[name]; ok {
		return e
	}
	known, ok := h.look(name)
	if !ok {
		return nil
	}
	return h.put(name, known)
}

// entry is take, and makes the entry when there is none.
func (h *holdings) entry(name string) *entry {
	if e := h.take(name); e != nil {
		return e
	}
	h.n++
	return h.put(name, entry{})
}

func (h *holdings) put(name string, is entry) *entry {
	if len(h.room) == 0 {
		h.room = make([]entry, 1)
	}
	e := &h.room[0]
	h.room = h.room[1:]
	*e = is
	if h.apart == nil {
		h.apart = map[string]*entry{}
	}
	h.apart[name] = e
	return e
}

// drop forgets a name.
func (h *holdings) drop(name string) {
	if !h.has(name) {
		return
	}
	h.n--
	if e := h.apart[name]; e != nil {
		*e = entry{} // whoever still points to it
	}
	delete(h.apart, name)
	if h.has(name) {
		if h.apart == nil {
			h.apart = map[string]*entry{}
		}
		h.apart[name] = nil
	}
}

// expect makes room for n more names, if they are many.
func (h *holdings) expect(n int) {
	if n <= smallMap {
		return
	}
	if len(h.apart) == 0 {
		h.apart = make(map[string]*entry, n)
	}
	if len(h.room) < n {
		h.room = make([]entry, n)
	}
}

// all yields every name with what is known of it, in no order. Names may be dropped meanwhile.
func (h *holdings) all() iter.Seq2[string, entry] {
	return func(yield func(string, entry) bool) {
		for k := range h.sure {
			for _, x := range h.sure[k] {
				if _, other := h.apart[x.res.Name]; !other && !yield(x.res.Name, x.entry(k == 1)) {
					return
				}
			}
		}
		for name, e := range h.apart {
			if e != nil && !yield(name, *e) {
				return
			}
		}
	}
}

// rest puts away the names of which nothing is uncertain. Endpoints are put away beside the cluster they were sent for, as
// clusters has it; that is nil for other types.
func (h *holdings) rest(clusters *holdings) {
	if len(h.apart) == 0 {
		return
	}
	large := len(h.apart) > smallMap
	moved := false // whether names come to sure, or go
	var fresh [2]sure
	var left map[string]*entry
	for name, e := range h.apart {
		of, certain := e.certain(clusters)
		switch {
		case e == nil:
			moved = true
		case !certain:
			if left == nil {
				left = map[string]*entry{}
			}
			left[name] = e
		default:
			k := side(e.named)
			if i, ok := h.sure[k].find(name); ok {
				h.sure[k][i] = held{e.cur, of}
				delete(h.apart, name)
				continue
			}
			moved = true
			if fresh[k] == nil {
				fresh[k] = make(sure, 0, len(h.apart))
			}
			fresh[k] = append(fresh[k], held{e.cur, of})
		}
	}
	if moved {
		for k := range h.sure {
			h.sure[k] = merge(h.sure[k].without(h.apart), fresh[k])
		}
	}
	if moved || large { // a map keeps its space
		h.apart = left
	}
	h.room = nil
}

// certain reports whether an entry can be put away, and the cluster that endpoints were sent for.
func (e *entry) certain(clusters *holdings) (of *envoy.Resource, ok bool) {
	if e == nil || e.cur == nil || e.open != nil {
		return nil, false
	}
	if clusters == nil {
		return nil, e.with == ""
	}
	cluster, _ := clusters.look(e.cur.Name)
	return cluster.cur, cluster.cur != nil && cluster.cur.Version == e.with
}

// without leaves names out.
func (s sure) without(names map[string]*entry) sure {
	return slices.DeleteFunc(s, func(h held) bool { _, out := names[h.res.Name]; return out })
}

// merge joins two lists that have no name in common, the second of which need not be sorted.
func merge(s, others sure) sure {
	slices.SortFunc(others, func(a, b held) int { return strings.Compare(a.res.Name, b.res.Name) })
	switch {
	case len(others) == 0:
		return s
	case len(s) == 0:
		return others
	}
	out := make(sure, 0, len(s)+len(others))
	for len(s) > 0 && len(others) > 0 {
		if s[0].res.Name < others[0].res.Name {
			out, s = append(out, s[0]), s[1:]
		} else {
			out, others = append(out, others[0]), others[1:]
		}
	}
	return append(append(out, s...), others...)
}
