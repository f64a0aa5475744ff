package e2e

import (
	"testing"
)

// localLimits is an UpstreamTrafficSetting of the server.
func localLimits(t *testing.T, spec string) {
	t.Helper()
	applyText(t, `
apiVersion: policy.openservicemesh.io/v1alpha1
kind: UpstreamTrafficSetting
metadata: {name: limits, namespace: local-rate}
spec:
  host: server.local-rate.svc.cluster.local
`+spec)
}

// Limits that the server's own sidecar keeps: of a virtual host, of a route, and of connections. The unit is an hour, so
// that nothing comes back while the test runs.
func TestLocalRateLimit(t *testing.T) {
	closedMesh(t)
	startPods(t, "local-ratelimit.yaml", "local-rate")
	client := pod{"local-rate", "client", "app"}
	const url, refused = "http://server.local-rate:14001", "http_local_rate_limiter.http_local_rate_limit.rate_limited"

	t.Run("virtual host", func(t *testing.T) {
		permissive(t, true)
		// With the first limit the chain gets a filter. The connections of before, one for each of the caller's threads,
		// are told to end with their next answer.
		localLimits(t, "  rateLimit: {local: {http: {requests: 1000, unit: hour}}}\n")
		configured(t, "local-rate", "server", `"max_tokens": 1000`)
		client.wantLoad(t, loadCounts{200: 40}, "-url", url+"/anything", "-count", "40", "-concurrency", "10", "-keepalive=false")
		localLimits(t, "  rateLimit: {local: {http: {requests: 3, unit: hour, burst: 2}}}\n")
		configured(t, "local-rate", "server", `"max_tokens": 5`)
		client.wantLoad(t, loadCounts{200: 5, 429: 7}, "-url", url+"/anything", "-count", "12")
		if n := counter(t, "local-rate", "server", refused); n != 7 {
			t.Errorf("%s: %d, want 7", refused, n)
		}
	})
	t.Run("route in permissive mode", func(t *testing.T) {
		permissive(t, true)
		localLimits(t, `  rateLimit: {local: {http: {requests: 3, unit: hour}}}
  httpRoutes:
  - path: .*
    rateLimit: {local: {requests: 4, unit: hour, responseStatusCode: 503, responseHeadersToAdd: [{name: x-limited, value: "100%"}]}}
`)
		configured(t, "local-rate", "server", `"max_tokens": 4`)
		client.wantLoad(t, loadCounts{200: 4, 503: 2}, "-url", url+"/anything", "-count", "6")
		client.want(t, 0, "X-Limited: 100%", "get", url+"/anything")
	})
	t.Run("route in SMI mode", func(t *testing.T) {
		permissive(t, false)
		client.want(t, 0, "404", "get", url+"/elsewhere")
		localLimits(t, `  rateLimit: {local: {http: {requests: 6, unit: hour}}}
  httpRoutes:
  - path: /buy/.*
    rateLimit: {local: {requests: 2, unit: hour}}
`)
		configured(t, "local-rate", "server", `"max_tokens": 6`)
		client.wantLoad(t, loadCounts{200: 2, 429: 3}, "-url", url+"/buy/book", "-count", "5")
		client.wantLoad(t, loadCounts{200: 6, 429: 1}, "-url", url+"/look", "-count", "7")
	})
	t.Run("connections", func(t *testing.T) {
		localLimits(t, "  rateLimit: {local: {tcp: {connections: 2, unit: hour, burst: 1}}}\n")
		configured(t, "local-rate", "server", `"max_tokens": 3`)
		const closed = "local_rate_limit.inbound_local-rate/server_9000_tcp.rate_limited"
		for i := range 3 {
			if out, code := client.meshtest(t, "tcpget", "server.local-rate:9000"); code != 0 {
				t.Fatalf("connection %d: exit %d\n%s", i+1, code, out)
			}
		}
		before := counter(t, "local-rate", "server", closed)
		client.wantClosed(t, "tcpget", "server.local-rate:9000")
		if n := counter(t, "local-rate", "server", closed); n <= before {
			t.Errorf("%s: %d, want more than %d", closed, n, before)
		}
	})
	t.Run("connections made at the same time", func(t *testing.T) {
		localLimits(t, "  rateLimit: {local: {tcp: {connections: 4, unit: hour}}}\n")
		configured(t, "local-rate", "server", `"max_tokens": 4`)
		ends := make(chan int)
		for range 9 {
			go func() {
				_, code := client.meshtest(t, "tcpget", "server.local-rate:9000")
				ends <- code
			}()
		}
		got := 0
		for range 9 {
			if code := <-ends; code == 0 {
				got++
			}
		}
		if got != 4 {
			t.Errorf("%d of 9 connections were let through, want 4: one that is refused must not harm the others", got)
		}
	})
	t.Run("deleted", func(t *testing.T) {
		kubectl(t, "delete", "upstreamtrafficsetting", "limits", "-n", "local-rate")
		client.want(t, 0, "hello", "tcpget", "server.local-rate:9000")
		client.wantLoad(t, loadCounts{200: 20}, "-url", url+"/buy/book", "-count", "20")
	})
	t.Run("refused", func(t *testing.T) {
		out, err := kubectlStdin(t, `
apiVersion: policy.openservicemesh.io/v1alpha1
kind: UpstreamTrafficSetting
metadata: {name: other, namespace: local-rate}
spec: {host: server.local-rate.svc.cluster.local, rateLimit: {local: {http: {requests: 1, unit: fortnight}}}}
`, "apply", "-f", "-")
		if err == nil {
			t.Errorf("an unknown unit was taken:\n%s", out)
		}
	})
}
