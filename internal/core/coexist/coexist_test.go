package coexist

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestObstacles(t *testing.T) {
	const system = "osm-system"
	a, b, tolerant, here := Mesh{"one", "a", true}, Mesh{"two", "b", true}, Mesh{"three", "c", false}, Mesh{"osm", system, false}
	for name, c := range map[string]struct {
		only     bool
		existing []Mesh
		want     []Obstacle
		words    string
	}{
		"an empty cluster":       {true, nil, nil, ""},
		"beside a tolerant mesh": {false, []Mesh{tolerant}, nil, ""},
		"others insist": {true, []Mesh{b, tolerant, a}, []Obstacle{{a, InsistsItself}, {b, InsistsItself}},
			"Mesh(es) namespace: a, name: one, namespace: b, name: two already enforce it is the only mesh in the cluster, cannot install new meshes"},
		"the planned one insists": {true, []Mesh{tolerant}, []Obstacle{{tolerant, PlannedInsists}},
			"Mesh(es) namespace: c, name: three already exist so a new mesh enforcing it is the only one cannot be installed; set osm.enforceSingleMesh=false to install one beside them"},
		"the namespace is taken": {false, []Mesh{here}, []Obstacle{{here, SameNamespace}},
			"Namespace osm-system already contains mesh osm; upgrade or uninstall it, or choose another namespace"},
		"every reason is told": {true, []Mesh{{"osm", system, true}}, []Obstacle{{Mesh{"osm", system, true}, InsistsItself}, {Mesh{"osm", system, true}, SameNamespace}},
			"Mesh(es) namespace: osm-system, name: osm already enforce it is the only mesh in the cluster, cannot install new meshes\n" +
				"Namespace osm-system already contains mesh osm; upgrade or uninstall it, or choose another namespace"},
	} {
		t.Run(name, func(t *testing.T) {
			got := Obstacles(Mesh{Namespace: system, Only: c.only}, c.existing)
			require.Equal(t, c.want, got)
			if c.words == "" {
				require.NoError(t, Refusal(got))
			} else {
				require.EqualError(t, Refusal(got), c.words)
			}
		})
	}
}
