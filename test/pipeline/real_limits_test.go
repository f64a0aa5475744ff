package pipeline

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/demo/meshtest"
)

// limitedMesh runs the echo server as the application behind web, and both sidecars.
func limitedMesh(t *testing.T, more string) *realMesh {
	t.Helper()
	return limitedMeshIn(t, true, more)
}

func limitedMeshIn(t *testing.T, permissive bool, more string) *realMesh {
	t.Helper()
	m := newRealMeshWith(t, permissive, more)
	applet(t, "echo", "PORT_WEB", m)
	greet(t, m.addr("127.0.0.1", "PORT_DB"))
	m.start(t, "shop.shop", "shop.shop.cluster.local")
	m.start(t, "client.client", "client.client.cluster.local")
	return m
}

// applet runs a program of demo/meshtest on a port until the test ends.
func applet(t *testing.T, name, port string, m *realMesh, args ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan int, 1)
	env := meshtest.Env{Stdout: io.Discard, Stderr: t.Output(), Getenv: func(string) string { return "" }}
	args = append([]string{name}, append(args, "-address", "127.0.0.1", "-ports", strconv.Itoa(m.ports[port]))...)
	go func() { done <- meshtest.Run(ctx, env, args) }()
	waitFor(t, m.addr("127.0.0.1", port))
	t.Cleanup(func() {
		cancel()
		<-done
	})
}

// counter reads a counter of a sidecar.
func (m *realMesh) counter(t *testing.T, proxy, name string) int {
	t.Helper()
	resp, err := http.Get("http://" + m.admins[proxy] + "/stats?filter=" + "^" + strings.NewReplacer("|", `\|`, ".", `\.`).Replace(name) + "$")
	require.NoError(t, err)
	defer resp.Body.Close()
	for s := bufio.NewScanner(resp.Body); s.Scan(); {
		if stat, value, _ := strings.Cut(s.Text(), ": "); stat == name {
			n, err := strconv.Atoi(value)
			require.NoError(t, err)
			return n
		}
	}
	return 0
}

func (m *realMesh) web(t *testing.T, path string, headers ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+m.addr("127.0.77.1", "PORT_WEB")+path, nil)
	require.NoError(t, err)
	req.Host = "web.shop"
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func (m *realMesh) codes(t *testing.T, n int, path string, headers ...string) map[int]int {
	t.Helper()
	out := map[int]int{}
	for range n {
		out[m.web(t, path, headers...).StatusCode]++
	}
	return out
}

const webSetting = `
---
apiVersion: policy.openservicemesh.io/v1alpha1
kind: UpstreamTrafficSetting
metadata: {name: web, namespace: shop}
spec:
  host: web.shop.svc.cluster.local
`

const dbSetting = `
---
apiVersion: policy.openservicemesh.io/v1alpha1
kind: UpstreamTrafficSetting
metadata: {name: db, namespace: shop}
spec:
  host: db.shop.svc.cluster.local
`

// TestRealRetry: after one 503 with numRetries 5 the counters are those that users compare with.
func TestRealRetry(t *testing.T) {
	const retry = `
---
apiVersion: policy.openservicemesh.io/v1alpha1
kind: Retry
metadata: {name: r, namespace: client}
spec:
  source: {kind: ServiceAccount, name: client, namespace: client}
  destinations: [{kind: Service, name: web, namespace: shop}]
  retryPolicy: {retryOn: 5xx, perTryTimeout: 1s, numRetries: 5, retryBackoffBaseInterval: 1ms}
`
	for _, c := range []struct {
		name, more                string
		retries, limit, backoffed int
	}{{"with", retry, 5, 1, 5}, {"without", "", 0, 0, 0}} {
		t.Run(c.name, func(t *testing.T) {
			m := limitedMesh(t, c.more)
			require.Equal(t, 503, m.web(t, "/status/503").StatusCode)
			cluster := fmt.Sprintf("cluster.shop/web|%d.", m.ports["PORT_WEB"])
			require.Equal(t, c.retries, m.counter(t, "client.client", cluster+"upstream_rq_retry"))
			require.Equal(t, c.limit, m.counter(t, "client.client", cluster+"upstream_rq_retry_limit_exceeded"))
			require.Equal(t, c.backoffed, m.counter(t, "client.client", cluster+"upstream_rq_retry_backoff_exponential"))
			require.Equal(t, 200, m.web(t, "/status/200").StatusCode)
		})
	}
}

// TestRealCircuitBreaker: requests above the limits are answered 503 and counted, with requests per connection limited or
// not.
func TestRealCircuitBreaker(t *testing.T) {
	for _, http := range []string{"{maxPendingRequests: 1, maxRequestsPerConnection: 1}", "{maxPendingRequests: 1}"} {
		t.Run(http, func(t *testing.T) {
			m := limitedMesh(t, webSetting+"  connectionSettings: {tcp: {maxConnections: 1, connectTimeout: 1s}, http: "+http+"}\n")
			require.Equal(t, map[int]int{200: 5}, m.codes(t, 5, "/"), "one after the other they pass")
			got := make([]int, 10)
			var wg sync.WaitGroup
			for i := range got {
				wg.Go(func() { got[i] = m.web(t, "/delay/2s").StatusCode })
			}
			wg.Wait()
			codes := map[int]int{}
			for _, c := range got {
				codes[c]++
			}
			// One is under way and one waits, unless it came while the first one's connection was being made.
			require.LessOrEqual(t, codes[200], 2, "%v", codes)
			require.Positive(t, codes[200])
			require.Equal(t, 10, codes[200]+codes[503], "%v", codes)
			require.Equal(t, codes[503], m.counter(t, "client.client", fmt.Sprintf("cluster.shop/web|%d.upstream_rq_pending_overflow", m.ports["PORT_WEB"])))
		})
	}
}

// TestRealConnectionLimit: of a TCP service no more connections than allowed are open at a time.
func TestRealConnectionLimit(t *testing.T) {
	m := limitedMesh(t, dbSetting+"  connectionSettings: {tcp: {maxConnections: 2}}\n")
	cluster := fmt.Sprintf("cluster.shop/db|%d.", m.ports["PORT_DB"])
	require.Eventually(t, func() bool { return m.counter(t, "client.client", cluster+"upstream_cx_active") == 0 },
		20*time.Second, 20*time.Millisecond, "the connection that waited for the sidecar to listen is still open")
	before := m.counter(t, "client.client", cluster+"upstream_cx_overflow")
	open := 0
	for range 5 {
		if m.greeted(t) {
			open++
		}
	}
	require.Equal(t, 2, open)
	require.Equal(t, 3, m.counter(t, "client.client", cluster+"upstream_cx_overflow")-before)
}

// greeted opens a connection to db, which stays open, and reports whether the server was heard.
func (m *realMesh) greeted(t *testing.T) bool {
	t.Helper()
	conn, err := net.Dial("tcp", m.addr("127.0.77.3", "PORT_DB"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(5*time.Second)))
	line, _ := bufio.NewReader(conn).ReadString('\n')
	return line == "hello\n"
}

// TestRealLocalRateLimit: of host and route, with their codes, headers and counters.
func TestRealLocalRateLimit(t *testing.T) {
	m := limitedMesh(t, webSetting+"  rateLimit: {local: {http: {requests: 2, unit: hour, burst: 1}}}\n")
	require.Equal(t, map[int]int{200: 3, 429: 4}, m.codes(t, 7, "/"))
	require.Equal(t, 4, m.counter(t, "shop.shop", "http_local_rate_limiter.http_local_rate_limit.rate_limited"))

	m = limitedMesh(t, webSetting+`  rateLimit: {local: {http: {requests: 1000, unit: hour}}}
  httpRoutes:
  - path: .*
    rateLimit: {local: {requests: 1, unit: hour, responseStatusCode: 503, responseHeadersToAdd: [{name: X-Limited, value: "100% sure %REQ(x)%"}]}}
`)
	require.Equal(t, 200, m.web(t, "/").StatusCode)
	resp := m.web(t, "/")
	require.Equal(t, 503, resp.StatusCode)
	require.Equal(t, "100% sure %REQ(x)%", resp.Header.Get("X-Limited"), "a value is text, not a format")
}

// TestRealLocalRateLimitOfPaths: a path's limit counts its requests together, whatever their method and HTTP version and
// whichever name the service is called by, and apart from those of other paths and of the host.
func TestRealLocalRateLimitOfPaths(t *testing.T) {
	m := limitedMeshIn(t, false, webSetting+`  rateLimit: {local: {http: {requests: 2, unit: hour}}}
  httpRoutes:
  - {path: /limited/.*, rateLimit: {local: {requests: 4, unit: hour, responseStatusCode: 503}}}
  - {path: /apart/.*, rateLimit: {local: {requests: 1, unit: hour, responseStatusCode: 508}}}
`+`
---
apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata: {name: limited, namespace: shop}
spec:
  matches:
  - {name: limited, pathRegex: "/limited/.*", methods: [GET, POST, PUT]}
  - {name: apart, pathRegex: "/apart/.*"}
  - {name: rest, pathRegex: "/rest/.*"}
---
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: limited, namespace: shop}
spec:
  destination: {kind: ServiceAccount, name: shop, namespace: shop}
  sources: [{kind: ServiceAccount, name: client, namespace: client}]
  rules: [{kind: HTTPRouteGroup, name: limited, matches: [limited, apart, rest]}]
`)
	ask := func(c *http.Client, method, host, path string) int {
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+m.addr("127.0.77.1", "PORT_WEB")+path, nil)
		require.NoError(t, err)
		req.Host = host
		resp, err := c.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp.StatusCode
	}
	http2 := h2c()
	got := []int{
		ask(http.DefaultClient, http.MethodGet, "web.shop", "/limited/a"), ask(http.DefaultClient, http.MethodPost, "web.shop.svc", "/limited/b"),
		ask(http2, http.MethodPut, "web.shop", "/limited/c"), ask(http2, http.MethodGet, "web.shop.svc.cluster.local", "/limited/d"),
	}
	require.Equal(t, []int{200, 200, 200, 200}, got)
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut} {
		require.Equal(t, 503, ask(http.DefaultClient, method, "web.shop", "/limited/e"), method)
		require.Equal(t, 503, ask(http2, method, "web.shop", "/limited/e"), method)
	}
	require.Equal(t, map[int]int{200: 1, 508: 2}, m.codes(t, 3, "/apart/a"), "another path has a bucket of its own")
	require.Equal(t, map[int]int{200: 2, 429: 2}, m.codes(t, 4, "/rest/a"), "neither has taken of the host's")
}

// TestRealLocalRateLimitOfConnections closes those over the limit.
func TestRealLocalRateLimitOfConnections(t *testing.T) {
	m := limitedMesh(t, dbSetting+"  rateLimit: {local: {tcp: {connections: 1, unit: hour, burst: 8}}}\n")
	heard := 0
	for range 12 {
		if m.greeted(t) {
			heard++
		}
	}
	// Looking whether the sidecars are there has taken some of the nine.
	require.Greater(t, heard, 0)
	require.LessOrEqual(t, heard, 9)
	require.Equal(t, 12-heard, m.counter(t, "shop.shop", fmt.Sprintf("local_rate_limit.inbound_shop/db_%d_tcp-server-first.rate_limited", m.ports["PORT_DB"])))
}

// TestRealGlobalRateLimit asks a rate limit service, which counts by what the descriptors say.
func TestRealGlobalRateLimit(t *testing.T) {
	input := webSetting + `  rateLimit:
    global:
      http:
        rateLimitService: {host: 127.0.0.1, port: PORT_LIMITS}
        domain: shop
        timeout: 2s
        failOpen: false
        enableXRateLimitHeaders: true
        responseStatusCode: 503
        descriptors:
        - entries: [{genericKey: {value: web}}, {requestHeader: {name: X-User, key: user}}]
` + dbSetting + `  rateLimit:
    global:
      tcp:
        rateLimitService: {host: 127.0.0.1, port: PORT_LIMITS}
        domain: db
        timeout: 2s
        failOpen: false
        descriptors: [{entries: [{key: service, value: db}]}]
`
	m := limitedMesh(t, input)
	require.Equal(t, map[int]int{500: 1}, m.codes(t, 1, "/", "X-User: a"), "nobody answers and failOpen is false")
	require.False(t, m.greeted(t))
	applet(t, "ratelimit", "PORT_LIMITS", m, "-limit", "2", "-per", "24h")
	require.Eventually(t, func() bool { return m.web(t, "/", "X-User: warm").StatusCode == 200 }, 20*time.Second, 100*time.Millisecond)
	require.Equal(t, map[int]int{200: 2, 503: 2}, m.codes(t, 4, "/", "X-User: a"))
	require.Equal(t, map[int]int{200: 2, 503: 1}, m.codes(t, 3, "/", "X-User: b"), "another user has a count of their own")
	require.Equal(t, map[int]int{200: 5}, m.codes(t, 5, "/"), "without the header there is nothing to ask")
	require.NotEmpty(t, m.web(t, "/", "X-User: a").Header.Get("x-ratelimit-remaining"))
	heard := 0
	for range 4 {
		if m.greeted(t) {
			heard++
		}
	}
	require.Equal(t, 2, heard)
}

// TestRealExternalAuthorization: an authorizer allows, refuses with a code and headers of its own, is late or away.
func TestRealExternalAuthorization(t *testing.T) {
	config := func(failOpen bool) string {
		return fmt.Sprintf(`
---
apiVersion: config.openservicemesh.io/v1alpha2
kind: MeshConfig
metadata: {name: osm-mesh-config, namespace: osm-system}
spec:
  traffic:
    enableEgress: false
    enablePermissiveTrafficPolicyMode: true
    inboundExternalAuthorization: {enable: true, address: 127.0.0.1, port: PORT_AUTHZ, timeout: 500ms, failureModeAllow: %v}
`, failOpen)
	}
	for failOpen, silent := range map[bool]int{false: 403, true: 200} {
		t.Run(fmt.Sprintf("failureModeAllow=%v", failOpen), func(t *testing.T) {
			m := limitedMesh(t, config(failOpen))
			require.Equal(t, silent, m.web(t, "/").StatusCode, "nobody answers")
			applet(t, "authz", "PORT_AUTHZ", m)
			require.Eventually(t, func() bool { return m.web(t, "/", "X-Authz-Deny: 418").StatusCode == 418 }, 20*time.Second, 100*time.Millisecond)
			resp := m.web(t, "/")
			require.Equal(t, 200, resp.StatusCode)
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.Contains(t, string(body), "X-Authz-Allowed", "the application sees what the authorizer adds")
			resp = m.web(t, "/", "X-Authz-Deny: 401")
			require.Equal(t, 401, resp.StatusCode)
			require.Equal(t, "denied", resp.Header.Get("X-Authz"))
			require.Equal(t, silent, m.web(t, "/", "X-Authz-Delay: 3s").StatusCode, "the answer is late")
			require.True(t, m.greeted(t), "TCP is not asked about")

			long, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+m.addr("127.0.77.1", "PORT_WEB")+"/", strings.NewReader(strings.Repeat("x", 20000)))
			require.NoError(t, err)
			long.Host = "web.shop"
			resp, err = http.DefaultClient.Do(long)
			require.NoError(t, err)
			defer resp.Body.Close()
			body, err = io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.Contains(t, string(body), `"X-Authz-Allowed":["8192"]`, "the authorizer sees the beginning of the body")
			require.Contains(t, string(body), `"bodyBytes":20000`, "the application sees all of it")
		})
	}
}
