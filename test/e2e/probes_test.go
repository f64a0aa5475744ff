package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestProbes: what the kubelet asks of applications gets to them through the sidecar, and what they answer counts.
func TestProbes(t *testing.T) {
	debianPrograms(t)
	closedMesh(t)
	meshNamespaces(t, "probes")
	dir := t.TempDir()
	selfSigned(t, dir, "probes.example.com")
	kubectl(t, "create", "secret", "tls", "certificate", "-n", "probes", "--cert="+dir+"/crt", "--key="+dir+"/key")
	apply(t, "probes.yaml")
	for _, well := range []string{"http", "https-and-http", "https", "tcp", "grpc", "hooks"} {
		t.Run(well, func(t *testing.T) {
			kubectl(t, "wait", "pod/"+well, "-n", "probes", "--for=condition=Ready", "--timeout=90s")
			restarts := kubectl(t, "get", "pod", well, "-n", "probes", "-o", "jsonpath={.status.containerStatuses[*].restartCount}")
			if strings.Trim(restarts, "0 ") != "" {
				t.Errorf("containers were restarted: %s times", restarts)
			}
		})
	}
	t.Run("a hook reaches whom it calls", func(t *testing.T) {
		pod{"probes", "hooks", "caller"}.want(t, 0, "caller_poststart_cluster.upstream_rq_200: 1",
			"get", "http://127.0.0.1:15000/stats?filter=caller_poststart_cluster.upstream_rq_200$")
	})
	for ill, event := range map[string]string{
		"tcp-wrong-port": "Readiness probe failed", "http-wrong-path": "statuscode: 500", "http-too-slow": "Readiness probe failed",
		"grpc-wrong-service": "Readiness probe failed",
	} {
		t.Run(ill, func(t *testing.T) {
			eventually(t, 60*time.Second, func() error {
				out := kubectl(t, "get", "events", "-n", "probes", "--field-selector=involvedObject.name="+ill, "-o", "jsonpath={.items[*].message}")
				if !strings.Contains(out, event) {
					return fmt.Errorf("no event says %q: %s", event, out)
				}
				return nil
			})
			if ready := kubectl(t, "get", "pod", ill, "-n", "probes", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`); ready != "False" {
				t.Errorf("Ready is %s", ready)
			}
		})
	}
}
