package pipeline

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/core/snapshot"
	"openservicemesh.io/osm/internal/kube/manifests"
)

// load reads manifests into a snapshot.
func load(t *testing.T, name string, text []byte) (*snapshot.Snapshot, []snapshot.Finding) {
	t.Helper()
	r, err := manifests.Read(name, bytes.NewReader(text), manifests.Options{})
	require.NoError(t, err)
	require.Empty(t, r.Skipped, "%s: the mesh has no use for these kinds", name)
	return r.Snapshot, r.Findings
}
