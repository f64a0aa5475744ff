package e2e

import (
	"strings"
	"testing"
	"time"
)

// TestClustersOnDemand: sidecars get each cluster with the first call to it. Every first call is made once.
func TestClustersOnDemand(t *testing.T) {
	installedMesh(t)
	permissive(t, true)
	meshConfig(t, `{"spec":{"sidecar":{"clusterDiscovery":"OnDemand"}}}`)
	meshNamespaces(t, "proto-server", "proto-client")
	apply(t, "protocols.yaml")
	ready(t, "proto-server/server")
	kubectl(t, "rollout", "status", "statefulset/set", "-n", "proto-server", "--timeout=60s")
	apply(t, "ondemand.yaml")
	ready(t, "proto-client/client")
	ready(t, "proto-client/prober")
	client := pod{"proto-client", "client", "client"}

	for _, c := range []struct {
		name, text string
		args       []string
	}{
		{"HTTP", `"pod":"server"`, []string{"get", "-fail", "http://server.proto-server/"}},
		{"WebSocket", "echoed", []string{"wsget", "http://server.proto-server:81/ws"}},
		{"gRPC", "SERVING pod=[server]", []string{"grpcget", "server.proto-server:9002"}},
		{"bytes", "hello", []string{"tcpget", "server.proto-server:9000"}},
		{"server first", "welcome", []string{"tcpget", "-send", "", "server.proto-server:9001"}},
		{"undeclared, HTTP", "Server: envoy", []string{"get", "-fail", "http://plain.proto-server:7080/"}},
		{"undeclared, bytes", "hello", []string{"tcpget", "plain.proto-server:7000"}},
		{"pod of a set", `"pod":"set-1"`, []string{"get", "-fail", "http://set-1.set.proto-server:8080/"}},
		{"pod of a set, server first", "I am set-0", []string{"tcpget", "-send", "", "set-0.set.proto-server:9001"}},
	} {
		t.Run(c.name, func(t *testing.T) { client.wantAtOnce(t, c.text, c.args...) })
	}
	t.Run("what was not called is not there, and nothing is wrong", func(t *testing.T) {
		clusters := osm(t, "proxy", "get", "clusters", "client", "-n", "proto-client")
		if !strings.Contains(clusters, "proto-server/server|9000::") || strings.Contains(clusters, "proto-server/again|") {
			t.Errorf("want the cluster of what was called alone:\n%s", clusters)
		}
		osmSays(t, "Status: Success", "verify", "connectivity", "--from-pod", "proto-client/client", "--to-pod", "proto-server/server",
			"--to-service", "again", "--app-protocol", "http")
	})
	t.Run("without a controller", func(t *testing.T) { callsWithoutController(t, client) })
}

// callsWithoutController kills the controller while requests flow, and calls what was not called before.
func callsWithoutController(t *testing.T, client pod) {
	pod{"proto-client", "prober", "prober"}.wantAtOnce(t, `"pod":"server"`, "get", "-fail", "http://server.proto-server/")
	wait := startLoadFrom(t, "proto-client", "http://server.proto-server/", 12, 100)
	time.Sleep(2 * time.Second)
	kubectl(t, "delete", "pod", "-n", meshNamespace, "-l", "app=osm-controller", "--grace-period=0", "--force")
	begin := time.Now()
	client.wantAtOnce(t, `"pod":"server"`, "get", "-fail", "-timeout", "14s", "http://again.proto-server:8088/")
	client.wantAtOnce(t, "hello", "tcpget", "-timeout", "14s", "again.proto-server:9100")
	t.Logf("the first calls after the controller was killed took %v", time.Since(begin).Round(time.Millisecond))
	if l := wait(); l.Failed != 0 || l.Requests < 500 {
		t.Errorf("want every request to what was called before to succeed: %+v", l)
	}
	kubectl(t, "rollout", "status", "deployment/osm-controller", "-n", meshNamespace, "--timeout=60s")
}

// wantAtOnce runs an applet once.
func (p pod) wantAtOnce(t *testing.T, text string, args ...string) {
	t.Helper()
	if out, code := p.meshtest(t, args...); code != 0 || !strings.Contains(out, text) {
		t.Errorf("%v: exit %d, want %q in:\n%s", args, code, text, out)
	}
}
