package e2e

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"openservicemesh.io/osm/internal/testkit/cluster"
)

// mesh is the cluster every test uses.
var mesh *cluster.Cluster

const meshNamespace = "osm-system"

// TestMain brings the cluster up, with every image in it, and leaves it up: the next run is faster and a failure can be
// looked at. In CI it is removed.
func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "test/e2e needs root: the local cluster makes network namespaces and mounts. Run it as root.")
		return 1
	}
	ctx := context.Background()
	root, err := cluster.FindRoot()
	if err == nil {
		mesh, err = cluster.Local(ctx, root, cmp.Or(os.Getenv("OSM_E2E_CLUSTER"), "osm"), os.Stdout)
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

// kubectl runs kubectl and fails the test when it fails.
func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := mesh.Output(t.Context(), "kubectl", args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// kubectlStdin runs kubectl with text on its standard input.
func kubectlStdin(t *testing.T, text string, args ...string) (string, error) {
	t.Helper()
	cmd := mesh.Command(t.Context(), "kubectl", args...)
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// exitCode is the exit code of a failed command, 0 of a nil error.
func exitCode(err error) int {
	if err == nil {
		return 0
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return -1
}

// eventually repeats a check until it holds.
func eventually(t *testing.T, limit time.Duration, check func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %v", limit, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}
