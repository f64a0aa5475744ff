package e2e

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"
)

// samples are the manifests that the guides use.
const samples = "docs/example/manifests/samples/"

var (
	peersMu sync.Mutex
	loaded  = map[string]bool{}
)

// peers loads images of other makers, once.
func peers(t *testing.T, names ...string) {
	t.Helper()
	peersMu.Lock()
	defer peersMu.Unlock()
	var missing []string
	for _, name := range names {
		if !loaded[name] {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return
	}
	if err := mesh.LoadPeers(t.Context(), os.Stdout, missing...); err != nil {
		t.Fatal(err)
	}
	for _, name := range missing {
		loaded[name] = true
	}
}

// gone removes a namespace that an earlier test has left or is leaving.
func gone(t *testing.T, name string) {
	t.Helper()
	if _, err := mesh.Run(t.Context(), "kubectl", "get", "namespace", name); err == nil {
		kubectl(t, "delete", "namespace", name, "--ignore-not-found", "--wait", "--timeout=60s")
	}
}

// outsideNamespace makes a namespace that is not in the mesh; it goes when the test ends.
func outsideNamespace(t *testing.T, name string) {
	t.Helper()
	gone(t, name)
	kubectl(t, "create", "namespace", name)
	t.Cleanup(func() {
		if _, err := mesh.Run(context.Background(), "kubectl", "delete", "namespace", name, "--wait=false"); err != nil {
			t.Error(err)
		}
	})
}

// rollout waits for a Deployment's pods.
func rollout(t *testing.T, namespace string, deployments ...string) {
	t.Helper()
	for _, d := range deployments {
		eventually(t, 90*time.Second, func() error {
			_, err := mesh.Run(t.Context(), "kubectl", "rollout", "status", "deployment/"+d, "-n", namespace, "--timeout=80s")
			return err
		})
	}
}
