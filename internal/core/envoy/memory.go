package envoy

import (
	"crypto/sha256"
	"encoding/json"
	"slices"
	"sync"
	"weak"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"openservicemesh.io/osm/internal/core/ir"
)

// Memory encodes plans and keeps what it encoded, by the values it was encoded from: a filter chain or a virtual host that
// a hundred proxies have in common is encoded once, and so is one that a change of policy leaves as it was. Equal resources
// are one pointer (clusters of services are while they are those of one key). Its methods may be called concurrently; the result of Translate does not depend on what it keeps.
type Memory struct {
	mu        sync.Mutex
	age       uint64
	parts     map[digest]*kept[*part]
	resources map[digest]*kept[*Resource]
	forms     map[digest]*kept[*form]
	// lists are the parts that lists shared by plans became, while the plans are of one generation.
	lists map[listAt][]*part
	// formsAt are forms by the clusters that plans have in common, likewise.
	formsAt map[formAt]*form
}

// listAt is a list by its place, which it keeps from being taken for another while not keeping it in memory. with are the
// other values that its parts were encoded from.
type listAt struct {
	first any // a weak.Pointer
	n     int
	with  digest
}

// digest stands for the values that something was encoded from.
type digest [sha256.Size]byte

// kept is something encoded, with the age at which it was last asked for.
type kept[V any] struct {
	value V
	used  uint64
}

// Things not asked for during maxIdle ages are dropped, which is looked for every sweepEvery.
const (
	maxIdle    = 16
	sweepEvery = 8
)

// NewMemory returns one that keeps nothing yet.
func NewMemory() *Memory {
	return &Memory{
		parts: map[digest]*kept[*part]{}, resources: map[digest]*kept[*Resource]{}, forms: map[digest]*kept[*form]{},
		lists: map[listAt][]*part{}, formsAt: map[formAt]*form{},
	}
}

// Age says that another generation of plans begins, so that what no plan has any more is dropped in time.
func (m *Memory) Age() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.age++
	clear(m.lists)
	clear(m.formsAt)
	if m.age%sweepEvery == 0 {
		sweep(m.parts, m.age)
		sweep(m.resources, m.age)
		sweep(m.forms, m.age)
	}
}

func sweep[V any](table map[digest]*kept[V], age uint64) {
	for key, k := range table {
		if k.used+maxIdle < age {
			delete(table, key)
		}
	}
}

// recall returns what is kept under a key, or makes it. Of two that are made at the same time one is kept.
func recall[V any](m *Memory, table map[digest]*kept[V], key digest, build func() (V, error)) (V, error) {
	if v, ok := lookup(m, table, key); ok {
		return v, nil
	}
	v, err := build()
	if err != nil {
		return v, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := table[key]; k != nil {
		return k.value, nil
	}
	table[key] = &kept[V]{value: v, used: m.age}
	return v, nil
}

func lookup[V any](m *Memory, table map[digest]*kept[V], key digest) (v V, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := table[key]
	if k == nil {
		return v, false
	}
	k.used = m.age
	return k.value, true
}

// Translate is the function Translate. before, if not nil, is returned again when nothing differs from it.
func (m *Memory) Translate(p ir.Proxy, roots Bundle, before *Resources) (*Resources, error) {
	t := &translator{memory: m, before: before}
	t.proxy(p, roots)
	if t.err != nil {
		return nil, t.err
	}
	if before != nil && before.made(t.out) {
		return before, nil
	}
	r := NewResources(t.out)
	r.list = t.out
	return r, nil
}

// part is one element of a repeated field of a resource, encoded with its tag, and what it refers to.
type part struct {
	from  digest
	bytes []byte
	refs  []Ref
}

// part encodes one element, whose content is determined by inputs.
func (t *translator) part(field protowire.Number, inputs any, build func() (proto.Message, []Ref)) {
	key := digestOf(inputs)
	p, err := recall(t.memory, t.memory.parts, key, func() (*part, error) {
		m, refs := build()
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil {
			return nil, err
		}
		head := protowire.AppendTag(make([]byte, 0, len(b)+protowire.SizeTag(field)+protowire.SizeVarint(uint64(len(b)))), field, protowire.BytesType)
		return &part{from: key, bytes: protowire.AppendBytes(head, b), refs: refs}, nil
	})
	if err != nil {
		t.err = err
		return
	}
	t.parts = append(t.parts, p)
}

// all encodes the elements of a list with one. Those of a list that plans share are encoded, and compared with what is kept,
// but once.
func all[T any](t *translator, list []T, shared bool, with digest, one func(T)) {
	if !shared || len(list) == 0 {
		for _, x := range list {
			one(x)
		}
		return
	}
	at, m := listAt{weak.Make(&list[0]), len(list), with}, t.memory
	m.mu.Lock()
	parts, known := m.lists[at]
	m.mu.Unlock()
	if !known {
		begin := len(t.parts)
		for _, x := range list {
			one(x)
		}
		parts = slices.Clone(t.parts[begin:])
		t.parts = t.parts[:begin]
		if t.err == nil {
			m.mu.Lock()
			m.lists[at] = parts
			m.mu.Unlock()
		}
	}
	t.parts = append(t.parts, parts...)
}

// assemble adds the resource that frame becomes with the parts encoded since the last one, all of them elements of one field
// that frame leaves empty.
func (t *translator) assemble(typ TypeURL, name string, frame proto.Message, field protowire.Number, refs ...Ref) {
	parts := t.parts
	t.parts = nil
	around, err := proto.MarshalOptions{Deterministic: true}.Marshal(frame)
	if err != nil {
		t.err = err
		return
	}
	h := sha256.New()
	h.Write([]byte(string(typ) + "\x00" + name + "\x00"))
	h.Write(around)
	for _, p := range parts {
		h.Write(p.from[:])
	}
	t.keep(digest(h.Sum(nil)), func() (*Resource, error) {
		for _, p := range parts {
			refs = append(refs, p.refs...)
		}
		return newResource(typ, name, splice(around, field, parts), refs), nil
	})
}

// splice puts the parts where the encoding of the whole message would have them: fields come in the order of their numbers.
func splice(around []byte, field protowire.Number, parts []*part) []byte {
	size, at := len(around), 0
	for at < len(around) {
		number, _, n := protowire.ConsumeField(around[at:])
		if n < 0 || number > field {
			break
		}
		at += n
	}
	for _, p := range parts {
		size += len(p.bytes)
	}
	out := append(make([]byte, 0, size), around[:at]...)
	for _, p := range parts {
		out = append(out, p.bytes...)
	}
	return append(out, around[at:]...)
}

// once adds a resource whose content is determined by inputs.
func (t *translator) once(inputs any, build func() (*Resource, error)) {
	t.keep(digestOf(inputs), build)
}

func (t *translator) keep(key digest, build func() (*Resource, error)) {
	r, err := recall(t.memory, t.memory.resources, key, build)
	if err != nil {
		t.err = err
		return
	}
	t.out = append(t.out, r)
}

// digestOf is over everything that JSON shows, which of a plan is everything the translation reads.
func digestOf(inputs any) digest {
	b, err := json.Marshal(inputs)
	if err != nil {
		panic(err) // plain values of this project
	}
	return sha256.Sum256(b)
}
