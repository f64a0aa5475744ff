// Package coexist decides whether a mesh may be installed beside those that a cluster has. Input: the new mesh and the
// others. Output: what stands against it, and that in words that scripts know. It imports nothing of the project.
package coexist

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Mesh is a control plane, that exists or is planned. The name of a planned one does not matter here.
type Mesh struct {
	Name, Namespace string
	// Only is whether it insists on being the only mesh of the cluster.
	Only bool
}

func (m Mesh) String() string { return fmt.Sprintf("namespace: %s, name: %s", m.Namespace, m.Name) }

// Reason is how an existing mesh stands against a planned one.
type Reason int

// The reasons.
const (
	// InsistsItself: the existing mesh wants to be the only one.
	InsistsItself Reason = iota
	// PlannedInsists: the planned mesh wants to be the only one.
	PlannedInsists
	// SameNamespace: they would share a namespace.
	SameNamespace
)

// Obstacle is a mesh that stands against a planned one.
type Obstacle struct {
	Mesh   Mesh
	Reason Reason
}

// Obstacles lists what stands against a planned mesh, by reason and then by mesh. Where one insists itself, that the planned
// one does too is not said.
func Obstacles(planned Mesh, existing []Mesh) []Obstacle {
	var out []Obstacle
	insists := slices.ContainsFunc(existing, func(m Mesh) bool { return m.Only })
	for _, m := range existing {
		switch {
		case m.Only:
			out = append(out, Obstacle{m, InsistsItself})
		case planned.Only && !insists:
			out = append(out, Obstacle{m, PlannedInsists})
		}
		if m.Namespace == planned.Namespace {
			out = append(out, Obstacle{m, SameNamespace})
		}
	}
	slices.SortFunc(out, func(a, b Obstacle) int {
		return cmp.Or(cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Mesh.Namespace, b.Mesh.Namespace), cmp.Compare(a.Mesh.Name, b.Mesh.Name))
	})
	return out
}

// Refusal tells the obstacles, a line for each reason; nil when there is none.
func Refusal(obstacles []Obstacle) error {
	by := map[Reason][]string{}
	var taken []error
	for _, o := range obstacles {
		by[o.Reason] = append(by[o.Reason], o.Mesh.String())
		if o.Reason == SameNamespace {
			taken = append(taken, fmt.Errorf("Namespace %s already contains mesh %s; upgrade or uninstall it, or choose another namespace", o.Mesh.Namespace, o.Mesh.Name))
		}
	}
	var out []error
	if m := by[InsistsItself]; m != nil {
		out = append(out, fmt.Errorf("Mesh(es) %s already enforce it is the only mesh in the cluster, cannot install new meshes", strings.Join(m, ", ")))
	}
	if m := by[PlannedInsists]; m != nil {
		out = append(out, fmt.Errorf("Mesh(es) %s already exist so a new mesh enforcing it is the only one cannot be installed; "+
			"set osm.enforceSingleMesh=false to install one beside them", strings.Join(m, ", ")))
	}
	return errors.Join(append(out, taken...)...)
}
