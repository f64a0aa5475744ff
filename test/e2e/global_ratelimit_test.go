package e2e

import (
	"strings"
	"testing"
)

// globalLimits is an UpstreamTrafficSetting of the server that asks the rate limit service.
func globalLimits(t *testing.T, spec string) {
	t.Helper()
	applyText(t, `
apiVersion: policy.openservicemesh.io/v1alpha1
kind: UpstreamTrafficSetting
metadata: {name: limits, namespace: global-rate}
spec:
  host: server.global-rate.svc.cluster.local
`+strings.ReplaceAll(spec, "SERVICE", "rateLimitService: {host: ratelimiter.rls.svc.cluster.local, port: 8081}, domain: test, timeout: 2s"))
}

// Limits that envoyproxy/ratelimit counts in a real store: of requests, by host, route and header, and of connections; and
// what becomes of both when it is not there.
func TestGlobalRateLimit(t *testing.T) {
	closedMesh(t)
	permissive(t, true)
	peers(t, "ratelimit", "redis")
	outsideNamespace(t, "rls")
	meshNamespaces(t, "global-rate")
	apply(t, "global-ratelimit.yaml")
	kubectl(t, "apply", "-n", "rls", "-f", samples+"ratelimit/ratelimiter.yaml")
	kubectl(t, "wait", "pods", "--all", "-n", "global-rate", "--for=condition=Ready", "--timeout=90s")
	rollout(t, "rls", "redis", "ratelimiter")
	client := pod{"global-rate", "client", "app"}
	const url, local = "http://server.global-rate:14001", "cluster.global-rate/server|14001|local.ratelimit."
	connect := []string{"tcpget", "server.global-rate:9000"}

	// Nothing is called before the limits are there: a connection of that time would carry one request more.
	t.Run("requests", func(t *testing.T) {
		globalLimits(t, `  rateLimit:
    global:
      http:
        {SERVICE, failOpen: false, enableXRateLimitHeaders: true, descriptors: [{entries: [{genericKey: {key: my_key, value: my_value}}]}]}
`)
		configured(t, "global-rate", "server", `"descriptor_value": "my_value"`)
		client.wantLoad(t, loadCounts{200: 3, 429: 7}, "-url", url+"/look", "-count", "10")
		wantCounters(t, "global-rate", "server", local, map[string]int64{"ok": 3, "over_limit": 7, "error": 0})
		client.want(t, 0, "X-Ratelimit-Remaining: 0", "get", url+"/look")
	})
	t.Run("by route and header", func(t *testing.T) {
		globalLimits(t, `  rateLimit:
    global:
      http:
        {SERVICE, failOpen: false, enableXRateLimitHeaders: true, descriptors: [{entries: [{genericKey: {key: my_key, value: my_value}}]}]}
  httpRoutes:
  - path: .*
    rateLimit:
      global: {descriptors: [{entries: [{genericKey: {key: route, value: buy}}]}, {entries: [{requestHeader: {name: x-user, key: user}}]}]}
`)
		configured(t, "global-rate", "server", `"descriptor_value": "buy"`)
		client.wantLoad(t, loadCounts{200: 1, 429: 1}, "-url", url+"/buy", "-count", "2", "-H", "X-User: careful")
		client.wantLoad(t, loadCounts{429: 2}, "-url", url+"/buy", "-count", "2", "-H", "X-User: other")
	})
	t.Run("another status", func(t *testing.T) {
		globalLimits(t, "  rateLimit: {global: {http: {SERVICE, responseStatusCode: 503, descriptors: [{entries: [{genericKey: {key: my_key, value: my_value}}]}]}}}\n")
		client.want(t, 0, "503 Service Unavailable", "get", url+"/look")
	})
	t.Run("connections", func(t *testing.T) {
		globalLimits(t, "  rateLimit: {global: {tcp: {SERVICE, failOpen: false, descriptors: [{entries: [{key: bytes, value: all}]}]}}}\n")
		configured(t, "global-rate", "server", `"value": "all"`)
		client.want(t, 0, "hello", connect...)
		client.wantClosed(t, connect...)
		wantCounters(t, "global-rate", "server", "ratelimit.inbound_global-rate/server_9000_tcp.", map[string]int64{"ok": 2, "cx_closed": 1})
	})
	t.Run("service away", func(t *testing.T) {
		kubectl(t, "scale", "deployment/ratelimiter", "-n", "rls", "--replicas=0")
		client.wantClosed(t, connect...)
		globalLimits(t, "  rateLimit: {global: {tcp: {SERVICE, failOpen: true, descriptors: [{entries: [{key: bytes, value: all}]}]}}}\n")
		client.want(t, 0, "hello", connect...)
		http := func(failOpen string) string {
			return "  rateLimit: {global: {http: {SERVICE, failOpen: " + failOpen + ", descriptors: [{entries: [{genericKey: {key: my_key, value: my_value}}]}]}}}\n"
		}
		globalLimits(t, http("false"))
		client.want(t, 0, "500 Internal Server Error", "get", url+"/look")
		globalLimits(t, http("true"))
		client.want(t, 0, "200 OK", "get", url+"/look")
	})
}
