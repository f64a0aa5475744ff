package pipeline

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// timed calls web and returns the code and how long it took.
func (m *realMesh) timed(t *testing.T, path string) (int, time.Duration) {
	t.Helper()
	start := time.Now()
	code := m.web(t, path).StatusCode
	return code, time.Since(start)
}

// TestRealTimeouts: a request that takes longer than its host or its path lets it is answered 504, long before the
// application would have answered.
func TestRealTimeouts(t *testing.T) {
	m := limitedMesh(t, webSetting+`  connectionSettings:
    http: {requestTimeout: 1s}
  httpRoutes:
  - {path: /delay/2s, timeout: 0s}
  - {path: /delay/3.*, timeout: 0s, idleTimeout: 500ms}
  - {path: /delay/61s, timeout: 100ms}
`+dbSetting+`  connectionSettings: {tcp: {idleTimeout: 500ms}}
`)
	require.Equal(t, 200, m.web(t, "/").StatusCode)
	code, took := m.timed(t, "/delay/60s")
	require.Equal(t, 504, code)
	require.Less(t, took, 30*time.Second)
	code, _ = m.timed(t, "/delay/61s")
	require.Equal(t, 504, code)
	code, _ = m.timed(t, "/delay/2s")
	require.Equal(t, 200, code, "the path may take as long as it takes")
	code, took = m.timed(t, "/delay/30s")
	require.Equal(t, 504, code, "nothing was heard for a while")
	require.Less(t, took, 20*time.Second)
	require.Equal(t, 2, m.counter(t, "client.client", fmt.Sprintf("cluster.shop/web|%d.upstream_rq_timeout", m.ports["PORT_WEB"])))

	conn, err := net.Dial("tcp", m.addr("127.0.77.3", "PORT_DB"))
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	heard, err := io.ReadAll(conn)
	require.NoError(t, err, "the proxy closes")
	require.Equal(t, "hello\n", string(heard))
}

// TestRealOutlierDetection: a pod whose connections fail is left out after as many errors as were said.
func TestRealOutlierDetection(t *testing.T) {
	const dead = `
---
apiVersion: v1
kind: Pod
metadata: {name: zombie, namespace: shop, uid: zombie, labels: {app: shop, osm-proxy-uuid: zombie}}
spec: {serviceAccountName: zombie, containers: [{name: app, image: app}]}
status: {phase: Running, podIP: 127.0.88.9, podIPs: [{ip: 127.0.88.9}]}
`
	for _, c := range []struct {
		name, more string
		ejected    int
	}{
		{"with", webSetting + "  outlierDetection: {consecutiveErrors: 3, baseEjectionTime: 1h}\n", 1},
		{"without", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := limitedMesh(t, dead+c.more)
			cluster := fmt.Sprintf("cluster.shop/web|%d.", m.ports["PORT_WEB"])
			require.Equal(t, map[int]int{200: 12}, m.codes(t, 12, "/"), "a connection that fails is tried elsewhere")
			require.Equal(t, c.ejected, m.counter(t, "client.client", cluster+"outlier_detection.ejections_active"))
			before := m.counter(t, "client.client", cluster+"upstream_cx_connect_fail")
			require.GreaterOrEqual(t, before, 3)
			require.Equal(t, map[int]int{200: 12}, m.codes(t, 12, "/"))
			after := m.counter(t, "client.client", cluster+"upstream_cx_connect_fail")
			if c.ejected > 0 {
				require.Equal(t, before, after, "nobody calls it any more")
			} else {
				require.Greater(t, after, before)
			}
		})
	}
}

// TestRealFaults: requests are held up and answered on purpose, behind the rules and by the share that was said.
func TestRealFaults(t *testing.T) {
	m := limitedMesh(t, webSetting+"  faultInjection: {delay: {duration: 1200ms}}\n  httpRoutes: [{path: '.*', timeout: 0s}]\n")
	code, took := m.timed(t, "/")
	require.Equal(t, 200, code)
	require.GreaterOrEqual(t, took, 1200*time.Millisecond)

	m = limitedMesh(t, webSetting+"  faultInjection: {abort: {responseStatusCode: 503}}\n")
	require.Equal(t, map[int]int{503: 5}, m.codes(t, 5, "/"))
	require.Equal(t, 5, m.counter(t, "shop.shop", fmt.Sprintf("http.mesh-http-conn-manager.rds-inbound.%d.fault.aborts_injected", m.ports["PORT_WEB"])))

	m = limitedMesh(t, webSetting+"  faultInjection: {abort: {responseStatusCode: 503, percent: 0}, delay: {duration: 1h, percent: 0}}\n")
	require.Equal(t, map[int]int{200: 5}, m.codes(t, 5, "/"))
	require.Equal(t, 200, m.web(t, "/", "x-envoy-fault-abort-request: 503", "x-envoy-fault-delay-request: 60000").StatusCode, "requests cannot ask for faults")

	m = limitedMesh(t, webSetting+"  faultInjection: {abort: {responseStatusCode: 503, percent: 50}}\n")
	codes := m.codes(t, 60, "/")
	require.Equal(t, 60, codes[200]+codes[503])
	require.Positive(t, codes[200])
	require.Positive(t, codes[503])
}

const copyService = `
---
apiVersion: v1
kind: Service
metadata: {name: copy, namespace: shop}
spec:
  clusterIP: 127.0.77.9
  selector: {app: copy}
  ports: [{name: http, port: PORT_WEB, targetPort: PORT_RPC}]
---
apiVersion: v1
kind: Pod
metadata: {name: copy, namespace: shop, uid: copy, labels: {app: copy, osm-proxy-uuid: copy}}
spec: {serviceAccountName: copy, containers: [{name: app, image: app}]}
status: {phase: Running, podIP: 127.0.88.4, podIPs: [{ip: 127.0.88.4}]}
`

// TestRealMirror: copies arrive as they were sent; nobody waits for what becomes of them.
func TestRealMirror(t *testing.T) {
	m := newRealMeshWith(t, true, copyService+webSetting+"  mirror: {service: copy}\n")
	m.servers = append(m.servers, "127.0.88.4")
	applet(t, "echo", "PORT_WEB", m)
	copies, release := make(chan seen, 10), make(chan struct{})
	l, err := net.Listen("tcp", m.addr("127.0.0.1", "PORT_RPC"))
	require.NoError(t, err)
	s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		copies <- seen{Method: r.Method, Path: r.RequestURI, Host: r.Host, Header: r.Header, Proto: string(body)}
		<-release
		w.WriteHeader(http.StatusTeapot)
	})}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { close(release); _ = s.Close() })
	m.start(t, "shop.shop", "shop.shop.cluster.local")
	m.start(t, "copy.shop", "copy.shop.cluster.local")
	m.start(t, "client.client", "client.client.cluster.local")

	for i := range 3 {
		code, took := m.timed(t, fmt.Sprintf("/x?n=%d", i))
		require.Equal(t, 200, code, "the answer is the service's own")
		require.Less(t, took, 20*time.Second, "the mirror has not answered yet")
		select {
		case got := <-copies:
			require.Equal(t, "GET", got.Method)
			require.Equal(t, fmt.Sprintf("/x?n=%d", i), got.Path)
			require.Equal(t, "web.shop", got.Host)
		case <-time.After(20 * time.Second):
			require.Fail(t, "no copy")
		}
	}
	require.Empty(t, copies, "each request is copied once")
}

// span is what a test reads of a Zipkin v2 span.
type span struct {
	TraceID       string `json:"traceId"`
	ID            string `json:"id"`
	Kind          string `json:"kind"`
	LocalEndpoint struct {
		ServiceName string `json:"serviceName"`
	} `json:"localEndpoint"`
	Tags map[string]string `json:"tags"`
}

// zipkin is a collector that keeps what it gets.
type zipkin struct {
	mu    sync.Mutex
	hosts map[string]bool
	spans []span
}

func (z *zipkin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var list []span
	if r.Method != http.MethodPost || r.URL.Path != "/custom/spans" || json.NewDecoder(r.Body).Decode(&list) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	z.hosts[r.Host] = true
	z.spans = append(z.spans, list...)
	w.WriteHeader(http.StatusAccepted)
}

// of lists the kinds of the spans about a path, by trace.
func (z *zipkin) of(path string) map[string]map[string]bool {
	z.mu.Lock()
	defer z.mu.Unlock()
	out := map[string]map[string]bool{}
	for _, s := range z.spans {
		if u := s.Tags["http.url"]; len(u) < len(path) || u[len(u)-len(path):] != path {
			continue
		}
		if out[s.TraceID] == nil {
			out[s.TraceID] = map[string]bool{}
		}
		out[s.TraceID][s.Kind] = true
	}
	return out
}

// TestRealTracing: both sidecars send spans of one trace to the collector that MeshConfig names.
func TestRealTracing(t *testing.T) {
	m := newRealMeshWith(t, true, `
---
apiVersion: config.openservicemesh.io/v1alpha2
kind: MeshConfig
metadata: {name: osm-mesh-config, namespace: osm-system}
spec:
  traffic: {enableEgress: false, enablePermissiveTrafficPolicyMode: true}
  observability: {tracing: {enable: true, address: 127.0.0.1, port: PORT_AUTHZ, endpoint: /custom/spans}}
`)
	collector := &zipkin{hosts: map[string]bool{}}
	l, err := net.Listen("tcp", m.addr("127.0.0.1", "PORT_AUTHZ"))
	require.NoError(t, err)
	s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: collector}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	applet(t, "echo", "PORT_WEB", m)
	m.start(t, "shop.shop", "shop.shop.cluster.local")
	m.start(t, "client.client", "client.client.cluster.local")

	require.Equal(t, 200, m.web(t, "/traced").StatusCode)
	require.Eventually(t, func() bool {
		for _, kinds := range collector.of("/traced") {
			if kinds["CLIENT"] && kinds["SERVER"] {
				return true
			}
		}
		return false
	}, 30*time.Second, 50*time.Millisecond, "%v", collector.spans)
	require.Len(t, collector.of("/traced"), 1, "one request is one trace")
	require.Equal(t, map[string]bool{"127.0.0.1": true}, collector.hosts)

	require.Equal(t, 200, m.web(t, "/quiet", "x-b3-sampled: 0", "x-b3-traceid: 463ac35c9f6413ad", "x-b3-spanid: 463ac35c9f6413ad").StatusCode)
	require.Equal(t, 200, m.web(t, "/again").StatusCode)
	require.Eventually(t, func() bool { return len(collector.of("/again")) == 1 }, 30*time.Second, 50*time.Millisecond)
	require.Empty(t, collector.of("/quiet"), "who says not to sample is heard")
}
