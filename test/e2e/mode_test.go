package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"openservicemesh.io/osm/internal/version"
)

// installedMesh makes sure that a mesh is installed: whichever is there, or that of the walk-through.
func installedMesh(t *testing.T) {
	t.Helper()
	if _, err := mesh.Run(t.Context(), "kubectl", "get", "deployment", "osm-controller", "-n", meshNamespace); err != nil {
		walkthroughMesh(t)
	}
}

// meshConfig merges a patch into the MeshConfig and takes it back when the test ends.
func meshConfig(t *testing.T, patch string) {
	t.Helper()
	before := kubectl(t, "get", "meshconfig", "osm-mesh-config", "-n", meshNamespace, "-o", "jsonpath={.spec}")
	kubectl(t, "patch", "meshconfig", "osm-mesh-config", "-n", meshNamespace, "--type=merge", "-p", patch)
	t.Cleanup(func() {
		// The test's own context has ended by now.
		if _, err := mesh.Run(context.Background(), "kubectl", "patch", "meshconfig", "osm-mesh-config", "-n", meshNamespace,
			"--type=json", "-p", `[{"op":"replace","path":"/spec","value":`+before+`}]`); err != nil {
			t.Error(err)
		}
	})
}

// permissive switches permissive mode for the length of a test.
func permissive(t *testing.T, on bool) {
	t.Helper()
	meshConfig(t, fmt.Sprintf(`{"spec":{"traffic":{"enablePermissiveTrafficPolicyMode":%v}}}`, on))
}

// meshNamespaces makes namespaces of the mesh that go when the test ends.
func meshNamespaces(t *testing.T, names ...string) {
	t.Helper()
	for _, ns := range names {
		if _, err := mesh.Run(t.Context(), "kubectl", "get", "namespace", ns); err == nil {
			kubectl(t, "delete", "namespace", ns, "--wait", "--timeout=60s")
		}
		kubectl(t, "create", "namespace", ns)
		t.Cleanup(func() {
			if _, err := mesh.Run(context.Background(), "kubectl", "delete", "namespace", ns, "--wait=false"); err != nil {
				t.Error(err)
			}
		})
	}
	if out, err := mesh.Run(t.Context(), "osm", append([]string{"namespace", "add"}, names...)...); err != nil {
		t.Fatal(err, out)
	}
}

// apply applies a manifest of testdata. The word VERSION in it is the images' tag.
func apply(t *testing.T, file string) {
	t.Helper()
	if out, err := kubectlStdin(t, manifest(t, file), "apply", "-f", "-"); err != nil {
		t.Fatalf("%s: %v\n%s", file, err, out)
	}
}

// meshVersion is the tag of the images.
var meshVersion = version.Version

// manifest reads a manifest of testdata, with words replaced by others, and VERSION by the images' tag.
func manifest(t *testing.T, file string, words ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(append(words, "VERSION", version.Version)...).Replace(string(text))
}

// ready waits until a pod ("<namespace>/<name>") is.
func ready(t *testing.T, pod string) {
	t.Helper()
	ns, name, _ := strings.Cut(pod, "/")
	kubectl(t, "wait", "pod/"+name, "-n", ns, "--for=condition=Ready", "--timeout=60s")
}

// pod is a container of a pod to call from.
type pod struct{ namespace, name, container string }

// meshtest runs an applet there.
func (p pod) meshtest(t *testing.T, args ...string) (string, int) {
	t.Helper()
	out, err := mesh.Run(t.Context(), "kubectl", append([]string{"exec", "-n", p.namespace, p.name, "-c", p.container, "--", "osm-meshtest"}, args...)...)
	return out, exitCode(err)
}

// wantClosed repeats an applet until its connection is closed without an answer.
func (p pod) wantClosed(t *testing.T, args ...string) {
	t.Helper()
	eventually(t, 15*time.Second, func() error {
		out, got := p.meshtest(t, args...)
		if got != 52 && got != 56 {
			return fmt.Errorf("%v: exit %d, want a closed connection (52 or 56):\n%s", args, got, out)
		}
		return nil
	})
}

// want repeats an applet until it exits with a code and prints a text.
func (p pod) want(t *testing.T, code int, text string, args ...string) {
	t.Helper()
	eventually(t, 15*time.Second, func() error {
		out, got := p.meshtest(t, args...)
		if got != code || !strings.Contains(out, text) {
			return fmt.Errorf("%v: exit %d, want %d and %q in:\n%s", args, got, code, text, out)
		}
		return nil
	})
}
