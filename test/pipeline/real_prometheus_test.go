package pipeline

import (
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"openservicemesh.io/osm/charts"
	"openservicemesh.io/osm/internal/obs"
	"openservicemesh.io/osm/internal/testkit/freeport"
)

// prometheus runs a real Prometheus with the scrape configuration that the guides show. Pods are told to it as a list instead
// of by Kubernetes, with the same labels, and are scraped every second. It returns where to ask.
func prometheus(t *testing.T, pods []map[string]string) string {
	t.Helper()
	binary, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("there is no prometheus on this machine to ask: install the package prometheus of Debian, or compile that of tools/prometheus")
	}
	var config map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(sampleConfig(t)), &config))
	config["global"] = map[string]any{"scrape_interval": "1s", "scrape_timeout": "1s"}
	job := config["scrape_configs"].([]any)[0].(map[string]any)
	require.Contains(t, job, "kubernetes_sd_configs")
	delete(job, "kubernetes_sd_configs")
	var targets []any
	for _, labels := range pods {
		targets = append(targets, map[string]any{"targets": []string{"pod:1"}, "labels": labels})
	}
	job["static_configs"] = targets
	text, err := yaml.Marshal(config)
	require.NoError(t, err)
	dir := t.TempDir()
	file := filepath.Join(dir, "prometheus.yml")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	at := fmt.Sprintf("127.0.0.1:%d", freeport.Get(t))
	cmd := exec.Command(binary, "--config.file", file, "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", at)
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	require.Eventually(t, func() bool {
		resp, err := http.Get("http://" + at + "/-/ready")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}, 20*time.Second, 50*time.Millisecond)
	return at
}

func sampleConfig(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/example/manifests/samples/prometheus/prometheus.yaml")
	require.NoError(t, err)
	for doc := range strings.SplitSeq(string(text), "\n---\n") {
		var m struct {
			Kind string
			Data map[string]string
		}
		require.NoError(t, yaml.Unmarshal([]byte(doc), &m))
		if m.Kind == "ConfigMap" {
			return m.Data["prometheus.yml"]
		}
	}
	t.Fatal("there is no ConfigMap")
	return ""
}

// series is what Prometheus answers to a query.
type series struct {
	Metric map[string]string
	Value  [2]any
}

func query(t *testing.T, at, text string) []series {
	t.Helper()
	resp, err := http.Get("http://" + at + "/api/v1/query?query=" + url.QueryEscape(text))
	require.NoError(t, err)
	defer resp.Body.Close()
	var answer struct {
		Status, Error string
		Data          struct{ Result []series }
	}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
	require.Equal(t, "success", answer.Status, "%s: %s", text, answer.Error)
	return answer.Data.Result
}

// scrapedPod is what Prometheus is told of a pod.
func scrapedPod(namespace, name, app, controller, ip, path string, port int) map[string]string {
	const meta = "__meta_kubernetes_"
	return map[string]string{
		meta + "namespace": namespace, meta + "pod_name": name, meta + "pod_label_app": app, meta + "pod_phase": "Running", meta + "pod_ip": ip,
		meta + "pod_controller_kind": "ReplicaSet", meta + "pod_controller_name": controller,
		meta + "pod_annotation_prometheus_io_scrape": "true", meta + "pod_annotation_prometheus_io_path": path,
		meta + "pod_annotation_prometheus_io_port": strconv.Itoa(port),
	}
}

// controlPlane serves the control plane's metrics after a little of what happens there.
func controlPlane(t *testing.T) (ip string, port int) {
	t.Helper()
	m := obs.NewMetrics()
	m.ProxyConnected()
	m.SetNamespaces(2)
	m.ProxyResponse("uuid", "web.shop", "cluster", nil)
	s := httptest.NewServer(m.Handler())
	t.Cleanup(s.Close)
	host, number, err := net.SplitHostPort(strings.TrimPrefix(s.URL, "http://"))
	require.NoError(t, err)
	port, err = strconv.Atoi(number)
	require.NoError(t, err)
	return host, port
}

// TestRealPrometheus: with the scrape configuration of the guides a real Prometheus has data for every query of the
// dashboards, under the names and labels that users know, and little else of Envoy's.
func TestRealPrometheus(t *testing.T) {
	m := newCountedMesh(t, `prometheus.io/scrape: "true"`)
	ip, port := controlPlane(t)
	at := prometheus(t, []map[string]string{
		scrapedPod("client", "client", "client", "client-v1-5d4f8", "127.0.88.2", "/stats/prometheus", m.ports["PORT_METRICS"]),
		scrapedPod("osm-system", "osm-controller-7c-9", "osm-controller", "osm-controller-7c", ip, "", port),
	})
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended) })
	go func() {
		for {
			select {
			case <-ended:
				return
			case <-time.After(20 * time.Millisecond):
				r, err := http.NewRequest(http.MethodGet, "http://"+m.addr("127.0.77.1", "PORT_WEB")+"/", nil)
				if err != nil {
					return
				}
				r.Host = "web.shop"
				if resp, err := http.DefaultClient.Do(r); err == nil {
					_ = resp.Body.Close()
				}
			}
		}
	}()
	cluster := fmt.Sprintf("shop/web|%d", m.ports["PORT_WEB"])
	fill := strings.NewReplacer("$destination_namespace", "shop", "$destination", "shop-v1", "$namespace", "client", "$pod", "client", "$service", "client",
		"$cluster", cluster, "$kind", "Deployment", "$workload", "client-v1", "${datasource}", "x")
	queries := dashboardQueries(t)
	require.Greater(t, len(queries), 50)
	for _, q := range queries {
		text := fill.Replace(q)
		require.NotContains(t, text, "$")
		require.Eventually(t, func() bool {
			got := query(t, at, text)
			for _, s := range got {
				if v, err := strconv.ParseFloat(fmt.Sprint(s.Value[1]), 64); err != nil || math.IsNaN(v) {
					return false
				}
			}
			return len(got) > 0
		}, 30*time.Second, 200*time.Millisecond, "no data for %s", text)
	}
	got := query(t, at, `envoy_cluster_upstream_rq_xx{envoy_response_code_class="2",source_namespace="client",envoy_cluster_name="`+cluster+`"}`)
	require.Len(t, got, 1)
	require.Equal(t, map[string]string{
		"__name__": "envoy_cluster_upstream_rq_xx", "envoy_cluster_name": cluster, "envoy_response_code_class": "2", "job": "kubernetes-pods",
		"instance": fmt.Sprintf("127.0.88.2:%d", m.ports["PORT_METRICS"]), "source_namespace": "client", "source_pod_name": "client",
		"source_service": "client", "source_workload_kind": "Deployment", "source_workload_name": "client-v1",
	}, got[0].Metric)
	require.Len(t, query(t, at, `osm_proxy_connect_count{source_service="osm-controller"} == 1`), 1)
	require.Empty(t, query(t, at, `{__name__=~"envoy_osm.*|envoy_http.*|envoy_listener.*|.*__tmp.*"}`))
	require.Empty(t, query(t, at, `{__tmp_drop!=""}`))
}

// dashboardQueries are what the dashboards ask for, those of their variables included.
func dashboardQueries(t *testing.T) []string {
	t.Helper()
	files, err := charts.Files()
	require.NoError(t, err)
	var out []string
	seen := 0
	for _, f := range files {
		if !strings.HasPrefix(f.Name, "grafana/dashboards/") {
			continue
		}
		seen++
		var d struct {
			Panels     []struct{ Targets []struct{ Expr string } }
			Templating struct {
				List []struct{ Type, Definition string }
			}
		}
		require.NoError(t, json.Unmarshal(f.Data, &d), f.Name)
		for _, v := range d.Templating.List {
			if v.Type == "query" {
				end := strings.LastIndex(v.Definition, ", ")
				require.Positive(t, end, v.Definition)
				from := strings.TrimPrefix(v.Definition[:end], "label_values(")
				out = append(out, from)
			}
		}
		for _, p := range d.Panels {
			require.NotEmpty(t, p.Targets, f.Name)
			for _, target := range p.Targets {
				out = append(out, target.Expr)
			}
		}
	}
	require.Equal(t, 7, seen)
	return out
}
