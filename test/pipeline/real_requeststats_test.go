package pipeline

import (
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/core/names"
)

const countRequests = `
---
apiVersion: config.openservicemesh.io/v1alpha2
kind: MeshConfig
metadata: {name: osm-mesh-config, namespace: osm-system}
spec:
  traffic: {enableEgress: false, enablePermissiveTrafficPolicyMode: true}
  featureFlags: {enableWASMStats: true}
`

// countedMesh runs two sidecars with the request metrics on and an application that says it is somebody else, in the headers
// by which sidecars of the original told each other.
type countedMesh struct {
	*realMesh
	mu sync.Mutex
	// told are the headers that the application got.
	told map[string]bool
}

// newCountedMesh gives the caller's pod these annotations.
func newCountedMesh(t *testing.T, caller string) *countedMesh {
	t.Helper()
	for name, value := range map[string]string{
		names.EnvPodNamespace: "client", names.EnvWorkloadKind: "Deployment", names.EnvWorkloadName: "client-v1", names.EnvPodName: "client"} {
		t.Setenv(name, value)
	}
	m := &countedMesh{realMesh: newRealMeshOf(t, true, countRequests, "", caller), told: map[string]bool{}}
	m.admin = map[string]int{"client.client": m.ports["PORT_ADMIN"]}
	l, err := net.Listen("tcp", m.addr("127.0.0.1", "PORT_WEB"))
	require.NoError(t, err)
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		defer m.mu.Unlock()
		for name := range r.Header {
			m.told[strings.ToLower(name)] = true
		}
		if r.URL.Path == "/lie" {
			for _, part := range []string{"pod", "name", "kind", "namespace"} {
				w.Header().Set("osm-stats-"+part, "evil")
			}
		}
		if r.URL.Path == "/500" {
			w.WriteHeader(500)
		}
	})}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	m.start(t, "shop.shop", "shop.shop.cluster.local")
	m.start(t, "client.client", "client.client.cluster.local")
	return m
}

// call is what a client of the web service gets for a path, by a host name.
func (m *countedMesh) call(t *testing.T, host, path string, headers ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, "http://"+m.addr("127.0.77.1", "PORT_WEB")+path, nil)
	require.NoError(t, err)
	r.Host = host
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp
}

// figures are the sidecar's, as Prometheus gets them.
func (m *countedMesh) figures(t *testing.T, sidecar string) string {
	t.Helper()
	resp, err := http.Get("http://" + m.admins[sidecar] + "/stats/prometheus")
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(body)
}

// TestRealRequestStats: requests are counted by the workloads they go between, and nothing that a caller or an application
// says can change by which. Sidecars tell each other and the applications nothing for it.
func TestRealRequestStats(t *testing.T) {
	m := newCountedMesh(t, `prometheus.io/scrape: "true"`)
	for _, path := range []string{"/", "/", "/500"} {
		for name := range m.call(t, "web.shop", path).Header {
			require.NotContains(t, strings.ToLower(name), "osm", path)
		}
	}
	require.NotContains(t, strings.Join(slices.Collect(maps.Keys(m.told)), " "), "osm", "an application was told of the mesh")
	m.call(t, "web.shop", "/lie", "osm-stats-pod", "evil", "osm-stats-name", "evil")
	require.Equal(t, 404, m.call(t, "nobody.shop", "/").StatusCode)
	const (
		known = `source_namespace="client",destination_namespace="shop",source_kind="Deployment",destination_kind="Deployment",` +
			`source_name="client-v1",destination_name="shop-v1",source_pod="client",destination_pod="shop"} `
		unknown = `source_namespace="client",destination_namespace="unknown",source_kind="Deployment",destination_kind="unknown",` +
			`source_name="client-v1",destination_name="unknown",source_pod="client",destination_pod="unknown"} `
	)
	want := []string{
		`envoy_osm_request_total{response_code="200",` + known + "3",
		`envoy_osm_request_total{response_code="404",` + unknown + "1",
		`envoy_osm_request_total{response_code="500",` + known + "1",
		"envoy_osm_request_duration_ms_count{" + known + "4",
		"envoy_osm_request_duration_ms_count{" + unknown + "1",
	}
	var got []string
	require.Eventually(t, func() bool {
		got = nil
		for line := range strings.Lines(m.figures(t, "client.client")) {
			if strings.HasPrefix(line, "envoy_osm_request_total{") || strings.HasPrefix(line, "envoy_osm_request_duration_ms_count{") {
				got = append(got, strings.TrimSpace(line))
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		return slices.Equal(want, got)
	}, 20*time.Second, 200*time.Millisecond, "%s", &got)
	require.NotContains(t, m.figures(t, "client.client"), "evil")
	require.NotContains(t, m.figures(t, "shop.shop"), "osm_request", "the caller alone counts")
}

// TestRealRequestStatsUnscraped: where Prometheus does not ask, nothing is counted and no address says whose it is.
func TestRealRequestStatsUnscraped(t *testing.T) {
	m := newCountedMesh(t, "")
	require.Equal(t, 200, m.call(t, "web.shop", "/").StatusCode)
	require.NotContains(t, m.figures(t, "client.client"), "osm_request")
	addresses := m.view.Endpoints("shop/web|" + strconv.Itoa(m.ports["PORT_WEB"]))
	require.NotNil(t, addresses)
	require.NotContains(t, string(addresses.Body().Value), "Deployment")
}
