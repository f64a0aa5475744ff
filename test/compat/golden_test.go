package compat

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"openservicemesh.io/osm/charts"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// managed is the preset's values.
func managed(t *testing.T) map[string]any {
	t.Helper()
	raw, err := charts.ManagedValues()
	require.NoError(t, err)
	var vals map[string]any
	require.NoError(t, yaml.Unmarshal(raw, &vals))
	return vals
}

func TestGoldenManifests(t *testing.T) {
	cases := map[string]renderOpts{
		"default": {},
		"managed": {namespace: "arc-osm-system", values: managed(t)},
		"ha": {sets: []string{
			"osm.osmController.replicaCount=2,osm.injector.replicaCount=2,osm.osmBootstrap.replicaCount=2",
			"osm.osmController.enablePodDisruptionBudget=true,osm.injector.enablePodDisruptionBudget=true",
			"osm.osmController.autoScale.enable=true,osm.injector.autoScale.enable=true",
			"osm.controlPlaneTolerations[0].key=dedicated,osm.controlPlaneTolerations[0].operator=Exists",
			"osm.imagePullSecrets[0].name=regcred",
		}},
	}
	seen := map[string]bool{}
	for name, opts := range cases {
		t.Run(name, func(t *testing.T) {
			golden(t, name+".yaml", text(mustRender(t, opts)), seen)
		})
	}
	orphans(t, "*.yaml", seen)
}

// golden compares text with a file of testdata, or rewrites it with -update.
func golden(t *testing.T, file, got string, seen map[string]bool) {
	t.Helper()
	path := filepath.Join("testdata", file)
	seen[path] = true
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "run the test with -update to make it")
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got); -update rewrites it:\n%s", path, diff)
	}
}

// orphans fails on golden files no case names.
func orphans(t *testing.T, pattern string, seen map[string]bool) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", pattern))
	require.NoError(t, err)
	for _, f := range files {
		require.Truef(t, seen[f], "%s belongs to no case", f)
	}
}
