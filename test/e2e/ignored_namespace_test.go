package e2e

import (
	"strings"
	"testing"
	"time"
)

// A namespace that is ignored cannot join the mesh, and its pods get no sidecar.
func TestIgnoredNamespace(t *testing.T) {
	installedMesh(t)
	meshNamespaces(t, "ignored")
	if out, err := mesh.Run(t.Context(), "osm", "namespace", "remove", "ignored"); err != nil {
		t.Fatal(out)
	}
	if out, err := mesh.Run(t.Context(), "osm", "namespace", "ignore", "ignored"); err != nil || !strings.Contains(out, "Successfully configured namespace [ignored] to be ignored") {
		t.Fatal(err, out)
	}
	out, err := mesh.Run(t.Context(), "osm", "namespace", "add", "ignored")
	if err == nil || !strings.Contains(out, "Cannot add ignored namespace") {
		t.Errorf("want a refusal, got %v\n%s", err, out)
	}
	eventually(t, 30*time.Second, func() error {
		_, err := mesh.Run(t.Context(), "kubectl", "get", "serviceaccount", "default", "-n", "ignored")
		return err
	})
	// Even where somebody labelled it by hand as a namespace of the mesh.
	kubectl(t, "label", "namespace", "ignored", "openservicemesh.io/monitored-by=osm", "--overwrite")
	kubectl(t, "annotate", "namespace", "ignored", "openservicemesh.io/sidecar-injection=enabled", "--overwrite")
	apply(t, "ignored-namespace.yaml")
	if containers := kubectl(t, "get", "pod", "app", "-n", "ignored", "-o", "jsonpath={.spec.initContainers[*].name} {.spec.containers[*].name}"); containers != "app" {
		t.Errorf("containers of the pod: %s, want app alone", containers)
	}
}
