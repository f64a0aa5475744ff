package state

import (
	"reflect"
	"sync"
)

// Key names a namespaced object.
type Key struct{ Namespace, Name string }

// String returns "<namespace>/<name>", or the name alone for an object without namespace.
func (k Key) String() string {
	if k.Namespace == "" {
		return k.Name
	}
	return k.Namespace + "/" + k.Name
}

// table is one kind's rows. A row that is put again with an equal value keeps its old value, so a heartbeat of a pod
// neither wakes the builder nor breaks sharing.
type table[V any] struct {
	mu   *sync.Mutex
	rows map[Key]V
	// changed is told every real change, under mu: the row before and after, nil where there is none.
	changed func(k Key, before, after *V)
	// synced is whether a complete list has arrived; wake is called when it first does.
	synced bool
	wake   func()
}

func newTable[V any](s *State, changed func(k Key, before, after *V)) *table[V] {
	return &table[V]{mu: &s.mu, rows: map[Key]V{}, changed: changed, wake: s.wake}
}

// put stores a row; keep false deletes it.
func (t *table[V]) put(k Key, v V, keep bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.set(k, v, keep)
}

func (t *table[V]) set(k Key, v V, keep bool) {
	before, had := t.rows[k]
	switch {
	case !keep && had:
		delete(t.rows, k)
		t.changed(k, &before, nil)
	case keep && had:
		if reflect.DeepEqual(before, v) {
			return
		}
		t.rows[k] = v
		t.changed(k, &before, &v)
	case keep:
		t.rows[k] = v
		t.changed(k, nil, &v)
	}
}

// replace makes the rows exactly these, in one step that no build can see half of.
func (t *table[V]) replace(rows map[Key]V) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.synced {
		t.synced = true
		t.wake()
	}
	for k := range t.rows {
		if _, still := rows[k]; !still {
			var none V
			t.set(k, none, false)
		}
	}
	for k, v := range rows {
		t.set(k, v, true)
	}
}
