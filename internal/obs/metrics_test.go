package obs

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/obs/errcode"
	"openservicemesh.io/osm/internal/version"
)

// touch gives every metric at least one series.
func touch(m *Metrics) {
	m.K8sEvent("add", "bookstore")
	m.SetNamespaces(3)
	m.ProxyConnected()
	m.ProxyConnected()
	m.ProxyReconnected()
	m.ProxyRejected()
	m.ProxyRequest("u1", "a.b", "lds")
	m.ProxyResponse("u1", "a.b", "lds", nil)
	m.ProxyResponse("u1", "a.b", "lds", errors.New("x"))
	m.ConfigUpdated("ADS", 300*time.Millisecond, true)
	m.Broadcast()
	m.Admission("Pod", true)
	m.CertIssued(time.Millisecond)
	m.ErrorCode(errcode.InvalidCA)
	m.SetFeatureFlag("enableWASMStats", true)
	m.CountQueued(func() int { return 7 })
	m.Reconciled("CustomResourceDefinition")
	m.Instrument("/x", http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("BREW", "/x/secret", nil))
}

// Dashboards and the upgrade test of the original query these names and labels.
func TestMetricContract(t *testing.T) {
	m := NewMetrics()
	touch(m)
	slow := []float64{.1, .25, .5, 1, 2.5, 5, 10, 20, 40, 90}
	quick := []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	want := map[string]struct {
		kind    dto.MetricType
		labels  string
		buckets []float64
	}{
		"osm_k8s_api_event_count":               {dto.MetricType_COUNTER, "namespace=bookstore type=add", nil},
		"osm_resource_namespace_count":          {dto.MetricType_GAUGE, "", nil},
		"osm_proxy_connect_count":               {dto.MetricType_GAUGE, "", nil},
		"osm_proxy_reconnect_count":             {dto.MetricType_COUNTER, "", nil},
		"osm_proxy_response_send_success_count": {dto.MetricType_COUNTER, "identity=a.b proxy_uuid=u1 type=lds", nil},
		"osm_proxy_response_send_error_count":   {dto.MetricType_COUNTER, "identity=a.b proxy_uuid=u1 type=lds", nil},
		"osm_proxy_config_update_time":          {dto.MetricType_HISTOGRAM, "resource_type=ADS success=true", slow},
		"osm_proxy_broadcast_event_count":       {dto.MetricType_COUNTER, "", nil},
		"osm_proxy_xds_request_count":           {dto.MetricType_COUNTER, "identity=a.b proxy_uuid=u1 type=lds", nil},
		"osm_proxy_max_connections_rejected":    {dto.MetricType_COUNTER, "", nil},
		"osm_admission_webhook_response_total":  {dto.MetricType_COUNTER, "kind=Pod success=true", nil},
		"osm_cert_issued_count":                 {dto.MetricType_COUNTER, "", nil},
		"osm_cert_issued_time":                  {dto.MetricType_HISTOGRAM, "", slow},
		"osm_error_err_code_count":              {dto.MetricType_COUNTER, "err_code=E4016", nil},
		"osm_http_response_total":               {dto.MetricType_COUNTER, "code=404 method=other path=/x", nil},
		"osm_http_response_duration":            {dto.MetricType_HISTOGRAM, "code=404 method=other path=/x", quick},
		"osm_feature_flag_enabled":              {dto.MetricType_GAUGE, "feature_flag=enableWASMStats", nil},
		"osm_version_info":                      {dto.MetricType_GAUGE, "build_date=unknown git_commit=unknown version=" + version.Version, nil},
		"osm_events_queued":                     {dto.MetricType_GAUGE, "", nil},
		"osm_reconciliation_total":              {dto.MetricType_COUNTER, "kind=CustomResourceDefinition", nil},
	}
	families, err := m.Registry().Gather()
	require.NoError(t, err)
	got := map[string]*dto.MetricFamily{}
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "osm_") {
			got[f.GetName()] = f
			require.Contains(t, want, f.GetName(), "a metric the contract does not know")
		}
	}
	for name, w := range want {
		require.Contains(t, got, name)
		require.Equal(t, w.kind, got[name].GetType(), name)
		require.Len(t, got[name].Metric, 1, name)
		series := got[name].Metric[0]
		labels := make([]string, 0, len(series.Label))
		for _, l := range series.Label {
			labels = append(labels, l.GetName()+"="+l.GetValue())
		}
		require.Equal(t, w.labels, strings.Join(labels, " "), name)
		var buckets []float64
		for _, b := range series.GetHistogram().GetBucket() {
			buckets = append(buckets, b.GetUpperBound())
		}
		require.True(t, slices.Equal(w.buckets, buckets), "%s: %v", name, buckets)
	}
	require.InDelta(t, 7, got["osm_events_queued"].Metric[0].GetGauge().GetValue(), 0)
	require.InDelta(t, 2, got["osm_proxy_connect_count"].Metric[0].GetGauge().GetValue(), 0)
}

func TestSeriesOfAGoneProxyAreDropped(t *testing.T) {
	m := NewMetrics()
	touch(m)
	m.ProxyRequest("u2", "a.b", "lds")
	m.ProxyResponse("u2", "a.b", "rds", nil)
	m.ProxyDisconnected()
	m.ProxyLeft("u1", "a.b")
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	require.NotContains(t, rec.Body.String(), `proxy_uuid="u1"`)
	require.Contains(t, rec.Body.String(), `osm_proxy_xds_request_count{identity="a.b",proxy_uuid="u2",type="lds"} 1`)
	require.Contains(t, rec.Body.String(), `osm_proxy_response_send_success_count{identity="a.b",proxy_uuid="u2",type="rds"} 1`)
	require.NotContains(t, rec.Body.String(), "osm_proxy_response_send_error_count{", "what never happened has no series")
	require.Contains(t, rec.Body.String(), "osm_proxy_connect_count 1")
}

func TestPages(t *testing.T) {
	var sick error
	m := NewMetrics()
	srv := httptest.NewServer(m.Mux(map[string]http.Handler{PathHealthz: Health(func() error { return sick })}))
	defer srv.Close()
	get := func(path string) (int, string) {
		res, err := srv.Client().Get(srv.URL + path)
		require.NoError(t, err)
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return res.StatusCode, string(b)
	}
	code, body := get("/healthz")
	require.Equal(t, 200, code)
	require.Equal(t, "Health OK", body)
	sick = errors.New("CRD x is not established")
	code, body = get("/healthz")
	require.Equal(t, 503, code)
	require.Contains(t, body, "CRD x is not established")
	code, body = get("/version")
	require.Equal(t, 200, code)
	require.JSONEq(t, `{"version":"`+version.Version+`","git_commit":"unknown","build_date":"unknown"}`, body)
	get("/metrics")
	_, body = get("/metrics")
	require.Contains(t, body, `promhttp_metric_handler_requests_total{code="200"}`)
	require.Contains(t, body, `osm_http_response_total{code="503",method="GET",path="/healthz"} 1`)
	code, _ = get("/debug/pprof/")
	require.Equal(t, 404, code)
}

// Who asks before a program is well is answered as soon as it is; a program that was well once says at once that it is no more.
func TestHealthWaitsForTheStart(t *testing.T) {
	var ready atomic.Bool
	h := Health(func() error {
		if ready.Load() {
			return nil
		}
		return errors.New("not yet")
	})
	ask := func(ctx context.Context) (int, time.Duration) {
		rec, began := httptest.NewRecorder(), time.Now()
		h.ServeHTTP(rec, httptest.NewRequestWithContext(ctx, http.MethodGet, "/healthz", nil))
		return rec.Code, time.Since(began)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	code, took := ask(short)
	require.Equal(t, 503, code)
	require.GreaterOrEqual(t, took, 50*time.Millisecond)
	require.Less(t, took, healthPatience, "the one who asked has gone")

	time.AfterFunc(100*time.Millisecond, func() { ready.Store(true) })
	code, took = ask(t.Context())
	require.Equal(t, 200, code)
	require.Less(t, took, healthPatience)

	ready.Store(false)
	code, took = ask(t.Context())
	require.Equal(t, 503, code)
	require.Less(t, took, healthPatience)
}
