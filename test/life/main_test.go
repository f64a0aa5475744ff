package life

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"openservicemesh.io/osm/internal/testkit/cluster"
	"openservicemesh.io/osm/internal/version"
)

var (
	mesh *cluster.Cluster
	// previous is the path of the previous version's osm command.
	previous string
)

const meshNamespace = "osm-system"

// TestMain brings up the local cluster with the images of both versions. In CI it is removed.
func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "test/life needs root: the local cluster makes network namespaces and mounts. Run it as root.")
		return 1
	}
	ctx := context.Background()
	root, err := cluster.FindRoot()
	if err == nil {
		mesh, err = cluster.Local(ctx, root, cmp.Or(os.Getenv("OSM_E2E_CLUSTER"), "osm"), os.Stdout)
	}
	if err == nil {
		previous, err = preparePrevious(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot bring up the local cluster:", err)
		return 1
	}
	code := m.Run()
	if os.Getenv("CI") != "" {
		if err := mesh.Down(ctx, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	return code
}

// must runs a command that reaches the cluster and fails the test when it fails.
func must(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := mesh.Output(t.Context(), name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	return must(t, "kubectl", args...)
}

// manifest applies or deletes a manifest of testdata for one of two namespaces.
func manifest(t *testing.T, verb, file, namespace, peer string) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	cmd := mesh.Command(t.Context(), "kubectl", verb, "-f", "-")
	cmd.Stdin = strings.NewReader(strings.NewReplacer("NAMESPACE", namespace, "PEER", peer, "VERSION", version.Version).Replace(string(text)))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("kubectl %s %s: %v\n%s", verb, file, err, out)
	}
}

// eventually repeats a check until it holds.
func eventually(t *testing.T, limit time.Duration, check func() error) {
	t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(200 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %v", limit, err)
		}
	}
}
