package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

const (
	rounds      = 5
	rollingRate = 200
	rollingFor  = 120 * time.Second
)

// TestRollingRestarts restarts every application of the walk-through again and again under load, with both shapes of
// sidecars: no request may fail.
func TestRollingRestarts(t *testing.T) {
	runningStory(t)
	t.Cleanup(func() { sidecarMode(t, context.Background(), "auto") })
	for _, mode := range []string{"native", "classic"} {
		t.Run(mode, func(t *testing.T) {
			sidecarMode(t, t.Context(), mode)
			restartAll(t)
			want := map[string]string{"native": "initContainers", "classic": "containers"}[mode]
			names := kubectl(t, "get", "pods", "-n", "bookstore", "-o", "jsonpath={.items[*].spec."+want+"[*].name}")
			if !strings.Contains(names, "envoy") {
				t.Fatalf("spec.%s of the pods of bookstore: %s; want envoy among them", want, names)
			}
			wait := startLoad(t, int(rollingFor.Seconds()), rollingRate)
			began := time.Now()
			for range rounds {
				restartAll(t)
			}
			took := time.Since(began)
			l := wait()
			t.Logf("%s sidecars: %d rolling restarts of every application in %.0f s; %d requests, %d failed", mode, rounds, took.Seconds(), l.Requests, l.Failed)
			if l.Failed != 0 || float64(l.Requests) < rollingRate*rollingFor.Seconds()*0.8 || took > rollingFor {
				t.Errorf("want every request to succeed, and the restarts within the load: %+v", l)
			}
		})
	}
}

// sidecarMode has the injector give new pods this shape of sidecar.
func sidecarMode(t *testing.T, ctx context.Context, mode string) {
	t.Helper()
	for _, args := range [][]string{
		{"osm", "mesh", "upgrade", "--set=osm.sidecarMode=" + mode},
		{"kubectl", "rollout", "status", "deployment/osm-injector", "-n", meshNamespace, "--timeout=60s"},
	} {
		if _, err := mesh.Run(ctx, args[0], args[1:]...); err != nil {
			t.Fatal(err)
		}
	}
	// The API server goes on asking the injector that is leaving, over the connection it has, until that one is gone.
	eventually(t, 60*time.Second, func() error {
		out, err := mesh.Output(ctx, "kubectl", "get", "pods", "-n", meshNamespace, "-l", "app=osm-injector", "-o", "name")
		if err != nil {
			return err
		}
		if n := len(strings.Fields(out)); n != 1 {
			return fmt.Errorf("%d injectors, want the new one alone", n)
		}
		return nil
	})
}

// restartAll restarts the applications at once and waits until only new pods run.
func restartAll(t *testing.T) {
	t.Helper()
	apps := [][2]string{{"bookstore", "bookstore"}, {"bookstore", "bookstore-v2"}, {"bookbuyer", "bookbuyer"}, {"bookwarehouse", "bookwarehouse"}}
	for _, a := range apps {
		kubectl(t, "rollout", "restart", "deployment", a[1], "-n", a[0])
	}
	for _, a := range apps {
		kubectl(t, "rollout", "status", "deployment", a[1], "-n", a[0], "--timeout=90s")
	}
}

// runningStory makes sure that the applications of the walk-through run in a mesh.
func runningStory(t *testing.T) {
	t.Helper()
	if _, err := mesh.Run(t.Context(), "kubectl", "get", "pod", "prober", "-n", "bookbuyer"); err != nil {
		walkthroughMesh(t)
	}
}
