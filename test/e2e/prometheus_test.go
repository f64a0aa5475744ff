package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"testing"
	"time"
)

// TestDeployPrometheus: the chart's Prometheus, asked for by an upgrade, knows what the pods of a running mesh that are scraped
// from now on have to do with each other, and what the control plane says of itself. It goes when it is no longer asked for.
func TestDeployPrometheus(t *testing.T) {
	runningStory(t)
	peers(t, "prometheus")
	upgrade := func(value string) {
		t.Helper()
		if out, err := mesh.Run(context.WithoutCancel(t.Context()), "osm", "mesh", "upgrade",
			"--set=osm.prometheus.image=prom/prometheus:v3.16.0,osm.deployPrometheus="+value); err != nil {
			t.Fatal(err, out)
		}
	}
	upgrade("true")
	t.Cleanup(func() {
		upgrade("false")
		if _, err := mesh.Run(context.Background(), "kubectl", "get", "deployment/osm-prometheus", "-n", meshNamespace); err == nil {
			t.Error("osm-prometheus is still there")
		}
	})
	kubectl(t, "rollout", "status", "deployment/osm-prometheus", "-n", meshNamespace, "--timeout=60s")
	if out, err := mesh.Run(t.Context(), "osm", "metrics", "enable", "--namespace", "bookbuyer,bookstore"); err != nil {
		t.Fatal(err, out)
	}
	t.Cleanup(func() {
		if out, err := mesh.Run(context.Background(), "osm", "metrics", "disable", "--namespace", "bookbuyer,bookstore"); err != nil {
			t.Error(err, out)
		}
	})
	for _, query := range []string{
		`rate(osm_request_total{source_namespace="bookbuyer",destination_name=~"bookstore.*",destination_kind="Deployment",source_kind="Deployment",source_name="bookbuyer",response_code="200"}[30s]) > 0`,
		`histogram_quantile(0.9, sum by (le) (rate(osm_request_duration_ms_bucket{source_name="bookbuyer"}[30s]))) > 0`,
		`rate(envoy_cluster_upstream_rq_xx{source_service="bookbuyer",envoy_response_code_class="2",envoy_cluster_name=~"bookstore/bookstore.*"}[30s]) > 0`,
		`sum(osm_proxy_connect_count{source_service="osm-controller"}) > 1`,
	} {
		eventually(t, time.Minute, func() error { return prometheusKnows(t, query) })
	}
}

// prometheusKnows is an error when the chart's Prometheus answers a query with nothing.
func prometheusKnows(t *testing.T, query string) error {
	t.Helper()
	out, err := mesh.Output(t.Context(), "kubectl", "get", "--raw",
		"/api/v1/namespaces/"+meshNamespace+"/services/osm-prometheus:7070/proxy/api/v1/query?query="+url.QueryEscape(query))
	if err != nil {
		return err
	}
	var answer struct {
		Status string
		Data   struct{ Result []json.RawMessage }
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	if answer.Status != "success" || len(answer.Data.Result) == 0 {
		return fmt.Errorf("%s: %s", query, out)
	}
	t.Logf("%s: %s", query, answer.Data.Result[0])
	return nil
}
