package cli

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"openservicemesh.io/osm/internal/core/names"
)

func TestNamespaceAdd(t *testing.T) {
	mesh := controller("osm", "osm-system")
	cases := map[string]struct {
		objects     []runtime.Object
		args        []string
		stdout      string
		stderr      string
		labels      map[string]string
		annotations map[string]string
	}{
		"adds and enables injection": {
			objects:     []runtime.Object{mesh, namespace("shop", map[string]string{"team": "a"}, nil)},
			args:        []string{"shop"},
			stdout:      "Namespace [shop] successfully added to mesh [osm]\n",
			labels:      map[string]string{"team": "a", names.LabelMonitoredBy: "osm"},
			annotations: map[string]string{names.AnnotationInjection: "enabled"},
		},
		"adds without injection": {
			objects:     []runtime.Object{mesh, namespace("shop", nil, nil)},
			args:        []string{"shop", "--disable-sidecar-injection"},
			stdout:      "Namespace [shop] successfully added to mesh [osm]\n",
			labels:      map[string]string{names.LabelMonitoredBy: "osm"},
			annotations: map[string]string{names.AnnotationInjection: "disabled"},
		},
		"moves from another mesh": {
			objects:     []runtime.Object{mesh, member("shop", "other")},
			args:        []string{"shop"},
			stdout:      "Namespace [shop] successfully added to mesh [osm]\n",
			labels:      map[string]string{names.LabelMonitoredBy: "osm"},
			annotations: map[string]string{names.AnnotationInjection: "enabled", names.AnnotationMetrics: "enabled"},
		},
		"skips the control plane's own namespace": {
			objects: []runtime.Object{controller("osm", "shop"), namespace("shop", nil, nil)},
			args:    []string{"shop"},
			stdout:  "Namespace [shop] already has [osm-controller] installed and cannot be added to mesh [osm]\n",
		},
		"leaves a member's annotation alone": {
			objects:     []runtime.Object{mesh, member("shop", "osm")},
			args:        []string{"shop", "--disable-sidecar-injection"},
			stdout:      "Namespace [shop] has already been added to mesh [osm]\n",
			labels:      map[string]string{names.LabelMonitoredBy: "osm"},
			annotations: map[string]string{names.AnnotationInjection: "enabled", names.AnnotationMetrics: "enabled"},
		},
		"unknown mesh": {
			objects: []runtime.Object{mesh, namespace("shop", nil, nil)},
			args:    []string{"shop", "--mesh-name", "nope"},
			stderr:  "Error: mesh [nope] does not exist, please specify another mesh using --mesh-name or create a new mesh\n",
		},
		"unknown namespace": {
			objects: []runtime.Object{mesh},
			args:    []string{"shop"},
			stderr:  "Error: Could not add namespace [shop] to mesh [osm]: namespaces \"shop\" not found\n",
		},
		"ignored namespace": {
			objects: []runtime.Object{mesh, namespace("shop", map[string]string{names.LabelIgnore: "true"}, nil)},
			args:    []string{"shop"},
			stderr:  "Error: Cannot add ignored namespace\n",
			labels:  map[string]string{names.LabelIgnore: "true"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.objects...)
			if c.stderr != "" {
				require.Equal(t, c.stderr, w.fails(append([]string{"namespace", "add"}, c.args...)...))
			} else {
				require.Equal(t, c.stdout, w.succeeds(append([]string{"ns", "add"}, c.args...)...))
			}
			ns, err := w.kube.CoreV1().Namespaces().Get(t.Context(), "shop", metav1.GetOptions{})
			if c.labels == nil && err != nil {
				return
			}
			require.NoError(t, err)
			require.Empty(t, cmp.Diff(c.labels, ns.Labels))
			require.Empty(t, cmp.Diff(c.annotations, ns.Annotations))
		})
	}
}

func TestNamespaceAddSeveral(t *testing.T) {
	w := newWorld(t, controller("osm", "osm-system"), namespace("bookstore", nil, nil), namespace("bookbuyer", nil, nil))
	require.Equal(t, "Namespace [bookstore] successfully added to mesh [osm]\nNamespace [bookbuyer] successfully added to mesh [osm]\n",
		w.succeeds("namespace", "add", "bookstore", "bookbuyer"))
}

func TestNamespaceRemove(t *testing.T) {
	cases := map[string]struct {
		objects        []runtime.Object
		args           []string
		stdout, stderr string
	}{
		"member": {
			objects: []runtime.Object{member("shop", "osm")}, args: []string{"shop"},
			stdout: "Namespace [shop] successfully removed from mesh [osm]\n",
		},
		"no member": {
			objects: []runtime.Object{namespace("shop", nil, nil)}, args: []string{"shop"},
			stdout: "Namespace [shop] already does not belong to any mesh\n",
		},
		"another mesh's": {
			objects: []runtime.Object{member("shop", "other")}, args: []string{"shop"},
			stderr: "Error: Namespace belongs to mesh [other], not mesh [osm]. Please specify the correct mesh\n",
		},
		"missing": {
			args:   []string{"shop"},
			stderr: "Error: Could not get namespace [shop]: namespaces \"shop\" not found\n",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.objects...)
			if c.stderr != "" {
				require.Equal(t, c.stderr, w.fails(append([]string{"namespace", "remove"}, c.args...)...))
				return
			}
			require.Equal(t, c.stdout, w.succeeds(append([]string{"namespace", "remove"}, c.args...)...))
			ns, err := w.kube.CoreV1().Namespaces().Get(t.Context(), "shop", metav1.GetOptions{})
			require.NoError(t, err)
			require.Empty(t, ns.Labels)
			require.Empty(t, ns.Annotations)
		})
	}
}

func TestNamespaceIgnore(t *testing.T) {
	w := newWorld(t, namespace("shop", nil, nil))
	require.Equal(t, "Successfully configured namespace [shop] to be ignored\n", w.succeeds("namespace", "ignore", "shop"))
	ns, err := w.kube.CoreV1().Namespaces().Get(t.Context(), "shop", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, "true", ns.Labels[names.LabelIgnore])
	require.Equal(t, "Error: Failed to retrieve namespace [none]: namespaces \"none\" not found\n", w.fails("namespace", "ignore", "none"))
}

func TestNamespaceList(t *testing.T) {
	w := newWorld(t)
	require.Equal(t, "No namespaces in any mesh\n", w.succeeds("namespace", "list"))
	require.Equal(t, "No namespaces in mesh [osm]\n", w.succeeds("namespace", "list", "--mesh-name", "osm"))

	ignored := member("cellar", "osm")
	ignored.Labels[names.LabelIgnore] = "true"
	w = newWorld(t, member("bookstore", "osm"), ignored, namespace("bare", map[string]string{names.LabelMonitoredBy: "other"}, nil), namespace("out", nil, nil))
	require.Equal(t, `NAMESPACE   MESH    SIDECAR-INJECTION
bare        other   -
bookstore   osm     enabled
cellar      osm     disabled (ignored)
`, w.succeeds("namespace", "list"))
	require.Equal(t, `NAMESPACE   MESH    SIDECAR-INJECTION
bare        other   -
`, w.succeeds("namespace", "list", "--mesh-name", "other"))
}
