package rollout

import (
	"fmt"
	"slices"
	"strings"

	"openservicemesh.io/osm/internal/core/snapshot"
)

// ReasonRejected is the reason of findings about what a proxy refused.
const ReasonRejected = "RejectedByProxy"

// Object is an object of a snapshot at one of its generations.
type Object struct {
	Ref snapshot.ObjectRef
	// Generation is metadata.generation.
	Generation int64
}

// Refusal is a resource that proxies do not take as it is now.
type Refusal struct {
	// Resource is for people, for example `route config "rds-inbound.80"`.
	Resource string
	// Identities are those of the proxies, sorted.
	Identities []string
	// Words are the proxy's own.
	Words string
	// Objects shaped the resource.
	Objects []snapshot.ObjectRef
}

// Tracker follows objects to the proxies. Its zero value has seen nothing. It is not safe for concurrent use.
type Tracker struct {
	objects map[snapshot.ObjectRef]seen
	acked   uint64
}

type seen struct {
	generation int64
	// since is the snapshot that was the first with this generation.
	since uint64
	// taken is the last generation that was in force in full; 0 is none.
	taken int64
}

// Show takes in the objects of a snapshot.
func (t *Tracker) Show(number uint64, objects []Object) {
	now := make(map[snapshot.ObjectRef]seen, len(objects))
	for _, o := range objects {
		s, known := t.objects[o.Ref]
		if !known || s.generation != o.Generation {
			s.generation, s.since = o.Generation, number
		}
		now[o.Ref] = s
	}
	t.objects = now
}

// Acknowledge notes that every proxy has acknowledged a snapshot, but for what refusals say. An object that shaped nothing
// of what is refused is in force.
func (t *Tracker) Acknowledge(number uint64, refusals []Refusal) {
	t.acked = max(t.acked, number)
	disputed := map[snapshot.ObjectRef]bool{}
	for _, r := range refusals {
		for _, o := range r.Objects {
			disputed[o] = true
		}
	}
	for ref, s := range t.objects {
		if s.since <= t.acked && !disputed[ref] {
			s.taken = s.generation
			t.objects[ref] = s
		}
	}
}

// Acked is the newest snapshot that every proxy has acknowledged.
func (t *Tracker) Acked() uint64 { return t.acked }

// Waiting lists the objects whose generation some proxy has not answered yet.
func (t *Tracker) Waiting() map[snapshot.ObjectRef]bool {
	out := map[snapshot.ObjectRef]bool{}
	for ref, s := range t.objects {
		if s.since > t.acked {
			out[ref] = true
		}
	}
	return out
}

// Findings lists a finding on each object that a refusal keeps out of force, sorted.
func (t *Tracker) Findings(refusals []Refusal) []snapshot.Finding {
	var out []snapshot.Finding
	for _, r := range refusals {
		for _, ref := range t.blamed(r) {
			out = append(out, snapshot.Finding{
				Object: ref, Severity: snapshot.Error, Reason: ReasonRejected,
				Message: fmt.Sprintf("the proxies of %s refuse the %s that this object shapes, and keep the version before; they say: %s. Change what they name",
					strings.Join(r.Identities, ", "), r.Resource, strings.TrimRight(r.Words, ". \n")),
			})
		}
	}
	return snapshot.SortFindings(out)
}

// blamed chooses among the objects behind a refused resource. The version before stays in force as a whole, so what has
// changed since is out of force, and one of that is the cause. Where no policy has changed, the services have.
func (t *Tracker) blamed(r Refusal) []snapshot.ObjectRef {
	var changed, policies, others []snapshot.ObjectRef
	for _, ref := range r.Objects {
		s, known := t.objects[ref]
		switch {
		case !known && ref.Kind == snapshot.KindService:
			others = append(others, ref)
		case !known: // gone, or never there
		case ref.Kind == snapshot.KindMeshConfig:
			// It shapes everything. It is blamed when it has changed since it was in force, or when nothing else is there.
			if s.taken != 0 && s.taken != s.generation {
				changed = append(changed, ref)
			}
		case s.taken != s.generation:
			changed = append(changed, ref)
		default:
			policies = append(policies, ref)
		}
	}
	for _, list := range [][]snapshot.ObjectRef{changed, others, policies} {
		if len(list) > 0 {
			return list
		}
	}
	return slices.DeleteFunc(slices.Clone(r.Objects), func(ref snapshot.ObjectRef) bool {
		_, known := t.objects[ref]
		return !known
	})
}
