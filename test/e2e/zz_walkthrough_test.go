package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"openservicemesh.io/osm/test/walkthrough"
)

// Go runs tests in the order of file names, so these are the last: the tests of the other files have used the mesh that
// the story leaves, and now its end is told, and then the whole of it again, from nothing, as a managed extension.

func TestWalkthroughEnds(t *testing.T) {
	walkthroughMesh(t)
	if err := walkthrough.Remove(t.Context(), story()); err != nil {
		t.Fatal(err)
	}
	t.Run("missing rights", missingRights) // a mesh that is there would be the first thing to be told
}

func TestWalkthroughManaged(t *testing.T) {
	err := walkthrough.Run(t.Context(), walkthrough.Options{
		Cluster: mesh, Out: os.Stdout, Namespace: "arc-osm-system", Managed: true})
	if err != nil {
		t.Fatal(err)
	}
}

func story() walkthrough.Options {
	return walkthrough.Options{Cluster: mesh, Out: os.Stdout, Namespace: meshNamespace, KeepMesh: true}
}

var (
	once    sync.Once
	onceErr error
)

// walkthroughMesh makes sure that the mesh as the canary step leaves it is there: SMI mode, egress off, bookbuyer may call
// bookstore, all of whose traffic goes to bookstore-v2. A test must leave it like that.
func walkthroughMesh(t *testing.T) {
	t.Helper()
	once.Do(func() { onceErr = walkthrough.Run(t.Context(), story()) })
	if onceErr != nil {
		t.Fatalf("the mesh of the walk-through could not be made: %v", onceErr)
	}
}

// Somebody who may look but not install is told which rights are missing, before anything is made.
func missingRights(t *testing.T) {
	kubectl(t, "create", "clusterrolebinding", "e2e-looker", "--clusterrole=view", "--serviceaccount=outside:default")
	t.Cleanup(func() {
		_, _ = mesh.Run(context.Background(), "kubectl", "delete", "clusterrolebinding", "e2e-looker")
	})
	config := filepath.Join(t.TempDir(), "kubeconfig")
	admin, err := os.ReadFile(mesh.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, admin, 0o600); err != nil {
		t.Fatal(err)
	}
	token := kubectl(t, "create", "token", "default", "-n", "outside")
	kubectl(t, "--kubeconfig", config, "config", "set-credentials", "looker", "--token="+token)
	kubectl(t, "--kubeconfig", config, "config", "set-context", "--current", "--user=looker")
	cmd := mesh.Command(t.Context(), "osm", "install", "--osm-namespace", "two")
	cmd.Env = append(cmd.Env, "KUBECONFIG="+config)
	out, err := cmd.CombinedOutput()
	if exitCode(err) != 1 || !strings.Contains(string(out), "clusterroles.rbac.authorization.k8s.io") {
		t.Errorf("want exit 1 and the missing rights, got %v:\n%s", err, out)
	}
	if _, err := mesh.Run(t.Context(), "kubectl", "get", "namespace", "two"); err == nil {
		t.Error("the refused install made its namespace")
	}
}
