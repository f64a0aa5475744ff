package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

const firstRoot = "osm-mesh-root-certificate"

// TestRootRotation takes a running mesh to MeshRootCertificates, from its root to another under load, and back. No request fails,
// every sidecar ends with a certificate of the new root, and sidecars that started under the old one find the control plane again
// after it was restarted under the new one.
func TestRootRotation(t *testing.T) {
	runningStory(t)
	if out, err := mesh.Run(t.Context(), "osm", "mesh", "upgrade", "--set=osm.featureFlags.enableMeshRootCertificate=true"); err != nil {
		t.Fatal(err, out)
	}
	before := rootsHeld(t)
	meshConfig(t, `{"spec":{"featureFlags":{"enableMeshRootCertificate":true}}}`)
	rootState(t, firstRoot, "active")
	first := mrc(t, firstRoot, "{.status.root}")
	if after := rootsHeld(t); len(after) != 1 || after[first] == 0 || fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("the first object is of root %s; sidecars hold certificates of %v, and held those of %v before", first, after, before)
	}

	wait := startLoad(t, 60, 200)
	second := rotateRoot(t)
	l := wait()
	t.Logf("a root taken over: %d requests, %d failed", l.Requests, l.Failed)
	if l.Failed != 0 || l.Requests < 5000 {
		t.Errorf("want every request to succeed: %+v", l)
	}
	eventually(t, 30*time.Second, func() error {
		if held := rootsHeld(t); len(held) != 1 || held[mrc(t, second, "{.status.root}")] == 0 {
			return fmt.Errorf("sidecars hold certificates of %v", held)
		}
		return nil
	})
	rootState(t, firstRoot, "inactive")

	kubectl(t, "rollout", "restart", "deployment/osm-controller", "deployment/osm-injector", "-n", meshNamespace)
	kubectl(t, "rollout", "status", "deployment/osm-controller", "-n", meshNamespace, "--timeout=90s")
	kubectl(t, "rollout", "status", "deployment/osm-injector", "-n", meshNamespace, "--timeout=90s")
	if out, err := mesh.Run(t.Context(), "osm", "check", "--wait", "60s"); err != nil {
		t.Errorf("osm check: %v\n%s", err, out)
	}

	wait = startLoad(t, 60, 200)
	rotateRoot(t, "--meshrootcertificate", firstRoot, "--delete")
	l = wait()
	t.Logf("and back: %d requests, %d failed", l.Requests, l.Failed)
	if l.Failed != 0 || l.Requests < 5000 {
		t.Errorf("want every request to succeed: %+v", l)
	}
	if held := rootsHeld(t); len(held) != 1 || held[first] == 0 {
		t.Errorf("sidecars hold certificates of %v, want those of %s", held, first)
	}
}

// rotateRoot runs the command and returns the name of the object that is active now.
func rotateRoot(t *testing.T, args ...string) string {
	t.Helper()
	begin := time.Now()
	out, err := mesh.Run(t.Context(), "osm", append([]string{"alpha", "certificate", "rotate", "-y", "-w", "50s"}, args...)...)
	t.Logf("%.1f s: %s", time.Since(begin).Seconds(), out)
	if err != nil || !strings.Contains(out, "OSM successfully rotated root certificate for mesh [osm] in namespace [osm-system]") {
		t.Fatal(err)
	}
	_, name, _ := strings.Cut(out, "The new MeshRootCertificate [")
	name, _, _ = strings.Cut(name, "]")
	return name
}

func mrc(t *testing.T, name, path string) string {
	t.Helper()
	return kubectl(t, "get", "mrc", name, "-n", meshNamespace, "-o", "jsonpath="+path)
}

func rootState(t *testing.T, name, want string) {
	t.Helper()
	eventually(t, 60*time.Second, func() error {
		out, err := mesh.Output(context.WithoutCancel(t.Context()), "kubectl", "get", "mrc", name, "-n", meshNamespace, "-o", "jsonpath={.status}")
		var st struct{ State string }
		if err == nil {
			err = json.Unmarshal([]byte(out), &st)
		}
		if err != nil {
			return err
		}
		if st.State != want {
			return fmt.Errorf("%s is not %s: %s", name, want, out)
		}
		return nil
	})
}

// rootsHeld is, by root, how many sidecars hold a certificate of it.
func rootsHeld(t *testing.T) map[string]int {
	t.Helper()
	out, err := mesh.Output(t.Context(), "osm", "proxy", "status", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	var list []struct{ Certificate *struct{ Root string } }
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatal(err, out)
	}
	held := map[string]int{}
	for _, p := range list {
		if p.Certificate != nil {
			held[p.Certificate.Root]++
		}
	}
	return held
}
