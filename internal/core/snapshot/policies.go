package snapshot

import (
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Object is any policy object: typed, with Kubernetes metadata.
type Object interface {
	metav1.Object
	runtime.Object
}

// Policies holds policy objects by kind (for example "TrafficTarget"), each list sorted by namespace and name.
type Policies map[string][]Object

// NewPolicies sorts what it is given; the maps and slices become the snapshot's own.
func NewPolicies(byKind map[string][]Object) Policies {
	for _, list := range byKind {
		slices.SortFunc(list, func(a, b Object) int {
			return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
		})
	}
	return byKind
}

// List returns the objects of one kind as their Go type, in order.
func List[T Object](p Policies, kind string) []T {
	out := make([]T, 0, len(p[kind]))
	for _, o := range p[kind] {
		if t, ok := o.(T); ok {
			out = append(out, t)
		}
	}
	return out
}
