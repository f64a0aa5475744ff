package e2e

import (
	"context"
	"strings"
	"testing"
	"time"
)

// A target opens its paths to its sources and nothing else; one in another namespace than its destination is refused on
// write, and opens nothing where the chart value switches that check off.
func TestTrafficTarget(t *testing.T) {
	closedMesh(t)
	startPods(t, "traffic-target.yaml", "target-server", "target-client")
	caller := func(name string) pod { return pod{"target-client", name, "app"} }
	const url = "http://server.target-server:14001"
	t.Run("paths", func(t *testing.T) {
		caller("foo").want(t, 0, "200 OK", "get", url+"/foo")
		caller("foo").want(t, 0, "403 Forbidden", "get", url+"/anything")
		caller("anything").want(t, 0, "200 OK", "get", "-X", "POST", url+"/anything")
		caller("anything").want(t, 0, "403 Forbidden", "get", url+"/foo")
		caller("foo").want(t, 0, "404 Not Found", "get", url+"/elsewhere")
		caller("nobody").want(t, 7, "", "get", url+"/foo")
	})
	t.Run("one deleted", func(t *testing.T) {
		kubectl(t, "delete", "traffictarget", "foo", "-n", "target-server")
		caller("foo").want(t, 7, "", "get", url+"/foo")
		caller("anything").want(t, 0, "200 OK", "get", url+"/anything")
	})
	t.Run("misplaced, refused", func(t *testing.T) {
		out, err := applyMisplaced(t)
		const want = "The traffic target namespace (target-client) must match spec.Destination.Namespace (target-server)"
		if err == nil || !strings.Contains(out, want) {
			t.Errorf("want a refusal with %q, got %v\n%s", want, err, out)
		}
	})
	t.Run("misplaced, not validated", func(t *testing.T) {
		validateTargets(t, false)
		eventually(t, 30*time.Second, func() error { _, err := applyMisplaced(t); return err })
		caller("anything").want(t, 0, "200 OK", "get", url+"/anything")
		caller("nobody").want(t, 7, "", "get", url+"/foo")
		kubectl(t, "wait", "traffictarget/misplaced", "-n", "target-client", "--for=condition=Accepted=False", "--timeout=15s")
		caller("nobody").want(t, 7, "", "get", url+"/foo")
	})
	t.Run("all deleted", func(t *testing.T) {
		kubectl(t, "delete", "traffictarget", "--all", "-n", "target-server")
		caller("anything").want(t, 7, "", "get", url+"/anything")
	})
}

func applyMisplaced(t *testing.T) (string, error) {
	t.Helper()
	return mesh.Run(t.Context(), "kubectl", "apply", "-f", "test/e2e/testdata/traffic-target-misplaced.yaml")
}

// validateTargets sets the chart's value of that name until the test ends.
func validateTargets(t *testing.T, on bool) {
	t.Helper()
	set := func(ctx context.Context, value string) {
		if out, err := mesh.Run(ctx, "osm", "mesh", "upgrade", "--set=smi.validateTrafficTarget="+value); err != nil {
			t.Error(err, out)
		}
	}
	t.Cleanup(func() { set(context.Background(), "true") })
	set(t.Context(), map[bool]string{true: "true", false: "false"}[on])
}
