package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"openservicemesh.io/osm/demo/meshtest"
)

// breaker is an UpstreamTrafficSetting of one host.
func breaker(t *testing.T, host, settings string) {
	t.Helper()
	applyText(t, `
apiVersion: policy.openservicemesh.io/v1alpha1
kind: UpstreamTrafficSetting
metadata: {name: limits, namespace: breaker}
spec:
  host: `+host+`
  connectionSettings: `+settings+"\n")
}

// A caller's sidecar bounds what it sends to a service, in the mesh and outside: what is too much is answered 503, and
// counted.
func TestCircuitBreaking(t *testing.T) {
	debianPrograms(t)
	closedMesh(t)
	permissive(t, true)
	startPods(t, "circuit-breaking.yaml", "breaker")
	client := pod{"breaker", "client", "app"}
	const inMesh, url = "cluster.breaker/server|14001.", "http://server.breaker:14001/delay/300ms"
	many := []string{"-url", url, "-count", "40", "-concurrency", "10"}

	t.Run("without limits", func(t *testing.T) {
		client.wantLoad(t, loadCounts{200: 40}, many...)
		wantCounters(t, "breaker", "client", inMesh, map[string]int64{"upstream_rq_pending_overflow": 0})
	})
	t.Run("requests", func(t *testing.T) {
		breaker(t, "server.breaker.svc.cluster.local", "{tcp: {maxConnections: 1}, http: {maxPendingRequests: 1, maxRequestsPerConnection: 1}}")
		configured(t, "breaker", "client", `"max_pending_requests": 1`)
		tooMany(t, client, inMesh+"upstream_rq_pending_overflow", many...)
	})
	t.Run("connections", func(t *testing.T) {
		tcp := func() (string, int) { return client.meshtest(t, "tcpget", "-quiet", "4s", "server.breaker:9000") }
		first := make(chan int, 1)
		go func() { _, code := tcp(); first <- code }()
		const overflow = "cluster.breaker/server|9000.upstream_cx_overflow"
		before := counter(t, "breaker", "client", overflow)
		client.wantClosed(t, "tcpget", "server.breaker:9000")
		if n := counter(t, "breaker", "client", overflow); n <= before {
			t.Errorf("%s: %d, want more than %d", overflow, n, before)
		}
		if code := <-first; code != 0 {
			t.Errorf("the one connection that is allowed: exit %d", code)
		}
	})
	t.Run("deleted", func(t *testing.T) {
		kubectl(t, "delete", "upstreamtrafficsetting", "limits", "-n", "breaker")
		eventually(t, 15*time.Second, func() error { return allAnswered(client.load(t, many...)) })
	})
	t.Run("connect timeout", func(t *testing.T) { connectTimeout(t, client) })
	t.Run("outside", func(t *testing.T) { breakOutside(t, client) })
}

// tooMany calls until some calls are answered and others refused with 503, each of which the counter has.
func tooMany(t *testing.T, client pod, overflow string, args ...string) {
	t.Helper()
	before := counter(t, client.namespace, client.name, overflow)
	s := client.load(t, args...)
	refused := counter(t, client.namespace, client.name, overflow) - before
	t.Logf("answers %v; %s rose by %d", s.Statuses, overflow, refused)
	if s.Statuses["200"] == 0 || s.Statuses["503"] == 0 || s.Statuses["503"] != refused || s.Statuses["200"]+s.Statuses["503"] != s.Requests {
		t.Errorf("want 200s, and as many 503s as %s rose by (%d): %+v", overflow, refused, s)
	}
}

func allAnswered(s meshtest.Summary) error {
	if s.Statuses["200"] != s.Requests {
		return fmt.Errorf("not all were answered 200: %v %v", s.Statuses, s.ErrorTexts)
	}
	return nil
}

// connectTimeout: an endpoint that answers nothing is given up after one second, and not after Envoy's five.
func connectTimeout(t *testing.T, client pod) {
	inside(t, "ip", "route", "replace", "blackhole", "198.51.100.77/32")
	t.Cleanup(func() { _ = mesh.Inside(context.Background(), "ip", "route", "delete", "198.51.100.77/32").Run() })
	begin := time.Now()
	client.want(t, 0, "503 Service Unavailable", "get", "-timeout", "30s", "http://nowhere.breaker:14001/")
	took, tries := time.Since(begin), counter(t, "breaker", "client", "cluster.breaker/nowhere|14001.upstream_cx_connect_timeout")
	t.Logf("answered 503 after %s and %d tries to connect", took, tries)
	if tries == 0 || took < time.Duration(tries)*time.Second || took > time.Duration(tries)*4*time.Second {
		t.Errorf("want one second for each try")
	}
}

// breakOutside bounds what goes to a host outside of the mesh.
func breakOutside(t *testing.T, client pod) {
	world(t)
	applyText(t, `
apiVersion: policy.openservicemesh.io/v1alpha1
kind: Egress
metadata: {name: out, namespace: breaker}
spec:
  sources: [{kind: ServiceAccount, name: client, namespace: breaker}]
  hosts: [www.example.com]
  ports: [{number: 80, protocol: http}]
  matches: [{apiGroup: policy.openservicemesh.io/v1alpha1, kind: UpstreamTrafficSetting, name: limits}]
`)
	many := []string{"-url", "http://www.example.com/slow", "-count", "40", "-concurrency", "10"}
	eventually(t, 15*time.Second, func() error { return allAnswered(client.load(t, many...)) })
	breaker(t, "www.example.com", "{tcp: {maxConnections: 1}, http: {maxPendingRequests: 1, maxRequestsPerConnection: 1}}")
	configured(t, "breaker", "client", `"max_pending_requests": 1`)
	tooMany(t, client, "cluster.www.example.com_80.upstream_rq_pending_overflow", many...)
}
