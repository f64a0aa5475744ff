package podpatch

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"openservicemesh.io/osm/internal/core/bootstrap"
	"openservicemesh.io/osm/internal/core/names"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const uuid = "5f1d6c3e-2b44-4a55-9d0e-8f1d6c3e2b44"

// input is testdata/<case>/in.yaml. Settings are laid over the defaults of testSettings.
type input struct {
	Namespace Namespace       `json:"namespace"`
	Settings  json.RawMessage `json:"settings"`
	Pod       json.RawMessage `json:"pod"`
}

// output is testdata/<case>/out.yaml. The bootstrap's text is tested in its own package; here its parts are listed.
type output struct {
	Error     string      `json:"error,omitempty"`
	Injected  bool        `json:"injected"`
	Warnings  []string    `json:"warnings,omitempty"`
	Bootstrap *parts      `json:"bootstrap,omitempty"`
	Pod       *corev1.Pod `json:"pod,omitempty"`
}

type parts struct {
	Node      string   `json:"node"`
	Cluster   string   `json:"cluster"`
	Listeners []string `json:"listeners"`
	Clusters  []string `json:"clusters"`
	// Overload is what Envoy does when its heap is full, if its memory is limited.
	Overload []string `json:"overload,omitempty"`
}

func testSettings() Settings {
	return Settings{
		Mesh: Mesh{Name: "osm", Namespace: "osm-system"},
		Images: Images{
			Envoy: "envoyproxy/envoy:distroless-v1.40.0", EnvoyWindows: "envoyproxy/envoy-windows:v1.40.0",
			Init: "openservicemesh/init:v1.3.0", Healthcheck: "openservicemesh/osm-healthcheck:v1.3.0",
		},
		PullPolicy: corev1.PullIfNotPresent, NativeSidecar: true, LogLevel: "error", Verbosity: "info",
		ADSName: "ads.cluster.local", RootPEM: "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
		TLS: bootstrap.TLSParams{MinVersion: "TLSv1_2", MaxVersion: "TLSv1_3"},
	}
}

func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*/in.yaml")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 25)
	for _, file := range files {
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) {
			got, err := yaml.Marshal(runCase(t, file))
			require.NoError(t, err)
			golden := filepath.Join(filepath.Dir(file), "out.yaml")
			if *update {
				require.NoError(t, os.WriteFile(golden, got, 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Empty(t, cmp.Diff(string(want), string(got)))
		})
	}
}

func runCase(t *testing.T, file string) output {
	t.Helper()
	var in input
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, yaml.UnmarshalStrict(text, &in))
	s := testSettings()
	if len(in.Settings) > 0 {
		require.NoError(t, yaml.UnmarshalStrict(in.Settings, &s))
	}
	pod := decode(t, in.Pod)
	yes, err := Decide(pod, in.Namespace, s.Mesh)
	if err != nil {
		return output{Error: err.Error()}
	}
	if !yes {
		return output{}
	}
	before := pod.DeepCopy()
	out, err := Inject(pod, in.Namespace, s, &bootstrap.Memory{}, uuid)
	require.Equal(t, before, pod, "the input must stay as it is")
	if err != nil {
		return output{Error: err.Error()}
	}
	checkPatch(t, in.Pod, out)
	golden := output{Injected: true, Warnings: out.Warnings, Bootstrap: listParts(t, out.Pod), Pod: out.Pod.DeepCopy()}
	golden.Pod.Annotations[names.AnnotationEnvoyBootstrap] = "(see bootstrap)"
	return golden
}

func decode(t *testing.T, js []byte) *corev1.Pod {
	t.Helper()
	var pod corev1.Pod
	require.NoError(t, json.Unmarshal(js, &pod))
	return &pod
}

// checkPatch applies the patch to the pod as it was sent, with fields of an imagined newer Kubernetes in it, and wants
// the injected pod and those fields.
func checkPatch(t *testing.T, raw []byte, out Output) {
	t.Helper()
	var doc map[string]any
	require.NoError(t, json.Unmarshal(raw, &doc))
	spec := doc["spec"].(map[string]any)
	spec["futureField"] = "kept"
	var last string
	for _, c := range spec["containers"].([]any) {
		c := c.(map[string]any)
		if n := c["name"].(string); n != names.ContainerEnvoy && n != names.ContainerHealthcheck {
			c["futureField"], last = "kept", n
		}
	}
	sent, err := json.Marshal(doc)
	require.NoError(t, err)
	ops, err := json.Marshal(out.Patch)
	require.NoError(t, err)
	patch, err := jsonpatch.DecodePatch(ops)
	require.NoError(t, err)
	patched, err := patch.Apply(sent)
	require.NoError(t, err, string(ops))
	require.Empty(t, cmp.Diff(canonical(t, out.Pod), canonical(t, decode(t, patched))))
	require.Contains(t, string(patched), `"futureField":"kept"`)
	require.NoError(t, json.Unmarshal(patched, &doc))
	i := slices.IndexFunc(doc["spec"].(map[string]any)["containers"].([]any), func(c any) bool { return c.(map[string]any)["name"] == last })
	require.Equal(t, "kept", doc["spec"].(map[string]any)["containers"].([]any)[i].(map[string]any)["futureField"])
}

func canonical(t *testing.T, pod *corev1.Pod) string {
	t.Helper()
	y, err := yaml.Marshal(pod)
	require.NoError(t, err)
	return string(y)
}

func listParts(t *testing.T, pod *corev1.Pod) *parts {
	t.Helper()
	js, err := yaml.YAMLToJSON([]byte(pod.Annotations[names.AnnotationEnvoyBootstrap]))
	require.NoError(t, err)
	var b bootstrapv3.Bootstrap
	require.NoError(t, protojson.Unmarshal(js, &b))
	p := &parts{Node: b.GetNode().GetId(), Cluster: b.GetNode().GetCluster()}
	for _, l := range b.GetStaticResources().GetListeners() {
		p.Listeners = append(p.Listeners, l.GetName())
	}
	for _, c := range b.GetStaticResources().GetClusters() {
		p.Clusters = append(p.Clusters, c.GetName())
	}
	for _, a := range b.GetOverloadManager().GetActions() {
		p.Overload = append(p.Overload, a.GetName())
	}
	return p
}

// An injected pod that is created again gets a new identity and is otherwise the same pod.
func TestInjectTwice(t *testing.T) {
	files, err := filepath.Glob("testdata/*/in.yaml")
	require.NoError(t, err)
	for _, file := range files {
		var in input
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, yaml.Unmarshal(text, &in))
		pod := decode(t, in.Pod)
		for _, native := range []bool{true, false} {
			s := testSettings()
			s.NativeSidecar = native
			once, err := Inject(pod, in.Namespace, s, &bootstrap.Memory{}, uuid)
			if err != nil {
				continue
			}
			s.NativeSidecar = !native
			other, err := Inject(once.Pod, in.Namespace, s, &bootstrap.Memory{}, "another")
			require.NoError(t, err)
			s.NativeSidecar = native
			again, err := Inject(other.Pod, in.Namespace, s, &bootstrap.Memory{}, uuid)
			require.NoError(t, err)
			require.Equal(t, 1, strings.Count(canonical(t, again.Pod), "- envoy\n"), file)
			want := once.Pod
			if strings.Contains(file, "copy") {
				continue // its probes were beyond recovery the first time
			}
			require.Empty(t, cmp.Diff(canonical(t, want), canonical(t, again.Pod)), file)
		}
	}
}
