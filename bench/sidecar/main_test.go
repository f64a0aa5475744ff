package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/snapshot"
	"openservicemesh.io/osm/internal/pipeline"
)

// The mesh that is measured must be the one that is claimed: every service is known to the client, nothing is left out.
func TestWorld(t *testing.T) {
	mesh := world(20)
	view, err := pipeline.New([]byte("root")).Apply(mesh, snapshot.Changed{Config: true})
	require.NoError(t, err)
	require.Empty(t, view.Findings())
	key, known := view.Place(client)
	require.True(t, known)
	set := view.Config(key)
	require.Len(t, set.List(envoy.Cluster), 4+19, "the server's four ports and one of each other service")
	for _, c := range set.List(envoy.Cluster) {
		require.NotNil(t, view.Endpoints(c.Name), c.Name)
	}
}
