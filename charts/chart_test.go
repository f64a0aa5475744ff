package charts

import (
	"io"
	"log"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/stretchr/testify/require"
	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	helmregistry "helm.sh/helm/v4/pkg/registry"
	release "helm.sh/helm/v4/pkg/release/v1"
	"sigs.k8s.io/yaml"
)

// helm lint has nothing to say, with default values, the managed preset and everything switched on.
func TestLint(t *testing.T) {
	for name, vals := range valueSets(t) {
		t.Run(name, func(t *testing.T) {
			lint := action.NewLint()
			lint.Strict, lint.Namespace = true, "osm-system"
			lint.KubeVersion = &common.KubeVersion{Version: "v1.37.0", Major: "1", Minor: "37"}
			result := lint.Run([]string{"osm"}, vals)
			require.Equal(t, 1, result.TotalChartsLinted)
			require.Empty(t, result.Errors)
			for _, m := range result.Messages {
				// A chart without an icon is one without a picture in catalogues.
				require.Contains(t, m.Err.Error(), "icon is recommended", "%v", m)
			}
		})
	}
}

// The chart goes into an OCI registry and comes out as it was: what Helm would install from there is what osm installs.
func TestRegistry(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	embedded, err := OSM()
	require.NoError(t, err)
	archive, err := chartutil.Save(embedded, t.TempDir())
	require.NoError(t, err)
	data, err := os.ReadFile(archive) //nolint:gosec // a file of the test's own
	require.NoError(t, err)

	client, err := helmregistry.NewClient(helmregistry.ClientOptPlainHTTP(), helmregistry.ClientOptWriter(io.Discard))
	require.NoError(t, err)
	ref := strings.TrimPrefix(server.URL, "http://") + "/charts/osm:" + embedded.Metadata.Version
	pushed, err := client.Push(data, ref)
	require.NoError(t, err)
	require.Equal(t, embedded.Metadata.Version, pushed.Chart.Meta.Version)

	pulled, err := client.Pull(ref)
	require.NoError(t, err)
	require.Equal(t, pushed.Manifest.Digest, pulled.Manifest.Digest)
	fromRegistry, err := loader.LoadArchive(strings.NewReader(string(pulled.Chart.Data)))
	require.NoError(t, err)
	for name, vals := range valueSets(t) {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, rendered(t, embedded, vals), rendered(t, fromRegistry, vals))
		})
	}
}

// What production asks for is there when it is set, and only then.
func TestProduction(t *testing.T) {
	c, err := OSM()
	require.NoError(t, err)
	count := func(text string) []int {
		var n []int
		for _, part := range []string{
			"kind: NetworkPolicy\n", "kind: PodDisruptionBudget\n", "apiVersion: autoscaling/v2\n", "priorityClassName: system-node-critical\n",
			"      topologySpreadConstraints:\n        - labelSelector:\n            matchLabels:\n              app: osm-controller\n          maxSkew: 1\n",
		} {
			n = append(n, strings.Count(text, part))
		}
		return n
	}
	require.Equal(t, []int{0, 0, 0, 3, 0}, count(rendered(t, c, nil)))
	production := rendered(t, c, valueSets(t)["production"])
	require.Equal(t, []int{3, 2, 2, 0, 1}, count(production))
	require.Contains(t, production, "        - {protocol: TCP, port: 15128}\n        - {protocol: TCP, port: 9091}\n        - {protocol: TCP, port: 9092}\n        - {protocol: TCP, port: 9093}\n")
}

// valueSets are values by what they are about.
func valueSets(t *testing.T) map[string]map[string]any {
	t.Helper()
	preset, err := ManagedValues()
	require.NoError(t, err)
	managed := map[string]any{}
	require.NoError(t, yaml.Unmarshal(preset, &managed))
	scaled := func() map[string]any { // one of its own each: Helm writes defaults into it
		return map[string]any{"enablePodDisruptionBudget": true, "autoScale": map[string]any{"enable": true},
			"topologySpreadConstraints": []any{map[string]any{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}}}
	}
	return map[string]map[string]any{
		"default": {},
		"managed": managed,
		"production": {"osm": map[string]any{"osmController": scaled(), "injector": scaled(), "enableReconciler": true,
			"priorityClassName": "", "networkPolicy": map[string]any{"enable": true}}},
	}
}

// rendered is everything that an installation would make, hooks included.
func rendered(t *testing.T, c *chart.Chart, vals map[string]any) string {
	t.Helper()
	install := action.NewInstall(action.NewConfiguration())
	install.ReleaseName, install.Namespace = "osm", "osm-system"
	install.DryRunStrategy = action.DryRunClient
	install.KubeVersion = &common.KubeVersion{Version: "v1.37.0", Major: "1", Minor: "37"}
	made, err := install.Run(c, vals)
	require.NoError(t, err)
	rel := made.(*release.Release)
	text := rel.Manifest
	for _, h := range rel.Hooks {
		text += h.Manifest
	}
	require.Contains(t, text, "kind: Deployment")
	return text
}
