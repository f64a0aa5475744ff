package obs

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"openservicemesh.io/osm/internal/obs/errcode"
	"openservicemesh.io/osm/internal/version"
)

// Metrics holds the control plane's metrics under the original's names and labels. Each process has one; its methods may be
// called concurrently.
type Metrics struct {
	registry *prometheus.Registry

	k8sEvents, admission, errorCodes, httpResponses, reconciled *prometheus.CounterVec
	reconnects, broadcasts, rejected, certIssued                prometheus.Counter
	namespaces, proxies                                         prometheus.Gauge
	featureFlags, versionInfo                                   *prometheus.GaugeVec
	configUpdate, httpDuration                                  *prometheus.HistogramVec
	certTime                                                    prometheus.Histogram
	streams                                                     *proxyCounters
	// queued counts the events that wait; nil in programs that handle none.
	queued atomic.Pointer[func() int]
}

// slowBuckets are seconds, for work on behalf of proxies.
func slowBuckets() []float64 { return []float64{.1, .25, .5, 1, 2.5, 5, 10, 20, 40, 90} }

// NewMetrics registers everything and sets osm_version_info.
func NewMetrics() *Metrics {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	f := factory{r}
	m := &Metrics{
		registry:      r,
		streams:       newProxyCounters(),
		k8sEvents:     f.counters("k8s_api_event_count", "Events received from the Kubernetes API server.", "type", "namespace"),
		namespaces:    f.gauge("resource_namespace_count", "Namespaces that the mesh monitors."),
		proxies:       f.gauge("proxy_connect_count", "Proxies connected to this controller."),
		reconnects:    f.counter("proxy_reconnect_count", "Streams of proxies that had one to this controller before."),
		configUpdate:  f.histograms("proxy_config_update_time", "Seconds to bring a proxy's configuration up to date.", slowBuckets(), "resource_type", "success"),
		broadcasts:    f.counter("proxy_broadcast_event_count", "Changes that concerned every proxy."),
		rejected:      f.counter("proxy_max_connections_rejected", "Proxies refused because of the limit on connections."),
		admission:     f.counters("admission_webhook_response_total", "Admission reviews answered.", "kind", "success"),
		certIssued:    f.counter("cert_issued_count", "Certificates issued."),
		certTime:      f.histogram("cert_issued_time", "Seconds to issue a certificate.", slowBuckets()),
		errorCodes:    f.counters("error_err_code_count", "Errors by error code.", "err_code"),
		httpResponses: f.counters("http_response_total", "HTTP responses.", "code", "method", "path"),
		httpDuration:  f.histograms("http_response_duration", "Seconds to answer an HTTP request.", prometheus.DefBuckets, "code", "method", "path"),
		featureFlags:  f.gauges("feature_flag_enabled", "Feature flags: 1 is on, 0 is off.", "feature_flag"),
		versionInfo:   f.gauges("version_info", "The version of this process.", "version", "build_date", "git_commit"),
		reconciled:    f.counters("reconciliation_total", "Objects restored by the reconciler.", "kind"),
	}
	r.MustRegister(m.streams)
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: prefix + "events_queued", Help: "Events that wait to be handled."}, m.countQueued))
	v := version.Get()
	m.versionInfo.WithLabelValues(v.Version, v.BuildDate, v.GitCommit).Set(1)
	return m
}

// Handler serves /metrics and counts its own scrapes as promhttp_*.
func (m *Metrics) Handler() http.Handler {
	return promhttp.InstrumentMetricHandler(m.registry, promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
}

// Registry is for metrics a component has beyond the shared ones, and for tests.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// K8sEvent counts one event; kind is "add", "update" or "delete".
func (m *Metrics) K8sEvent(kind, namespace string) {
	m.k8sEvents.WithLabelValues(kind, namespace).Inc()
}

// SetNamespaces sets the number of monitored namespaces.
func (m *Metrics) SetNamespaces(n int) { m.namespaces.Set(float64(n)) }

// ProxyConnected counts a stream that was accepted.
func (m *Metrics) ProxyConnected() { m.proxies.Inc() }

// ProxyDisconnected counts a stream that ended.
func (m *Metrics) ProxyDisconnected() { m.proxies.Dec() }

// ProxyLeft drops the series of a proxy: without this every restarted pod would leave some behind for ever.
func (m *Metrics) ProxyLeft(proxyUUID, identity string) {
	m.streams.drop(proxyName{proxyUUID, identity})
}

// ProxyReconnected counts a stream of a proxy that had one before.
func (m *Metrics) ProxyReconnected() { m.reconnects.Inc() }

// ProxyRejected counts a proxy refused by sidecar.maxDataPlaneConnections.
func (m *Metrics) ProxyRejected() { m.rejected.Inc() }

// ProxyRequest counts a request; typeURL is the xDS type.
func (m *Metrics) ProxyRequest(proxyUUID, identity, typeURL string) {
	m.streams.count(proxyName{proxyUUID, identity}, typeURL, proxyRequested)
}

// ProxyResponse counts a response, sent or (err) not.
func (m *Metrics) ProxyResponse(proxyUUID, identity, typeURL string, err error) {
	what := proxySent
	if err != nil {
		what = proxyNotSent
	}
	m.streams.count(proxyName{proxyUUID, identity}, typeURL, what)
}

// ConfigUpdated records how long it took to bring one type of resource up to date.
func (m *Metrics) ConfigUpdated(resourceType string, d time.Duration, success bool) {
	m.configUpdate.WithLabelValues(resourceType, strconv.FormatBool(success)).Observe(d.Seconds())
}

// Broadcast counts a change that concerned every proxy.
func (m *Metrics) Broadcast() { m.broadcasts.Inc() }

// Admission counts an answered review of an object kind.
func (m *Metrics) Admission(kind string, success bool) {
	m.admission.WithLabelValues(kind, strconv.FormatBool(success)).Inc()
}

// CertIssued records one certificate.
func (m *Metrics) CertIssued(d time.Duration) {
	m.certIssued.Inc()
	m.certTime.Observe(d.Seconds())
}

// ErrorCode counts an error. Logging calls it for every logged error that has a code.
func (m *Metrics) ErrorCode(c errcode.Code) { m.errorCodes.WithLabelValues(string(c)).Inc() }

// SetFeatureFlag records a flag's state under its name in MeshConfig.
func (m *Metrics) SetFeatureFlag(name string, on bool) {
	v := 0.0
	if on {
		v = 1
	}
	m.featureFlags.WithLabelValues(name).Set(v)
}

// CountQueued has every scrape count the events that wait.
func (m *Metrics) CountQueued(count func() int) { m.queued.Store(&count) }

func (m *Metrics) countQueued() float64 {
	if count := m.queued.Load(); count != nil {
		return float64((*count)())
	}
	return 0
}

// Reconciled counts an object that was restored, by kind.
func (m *Metrics) Reconciled(kind string) { m.reconciled.WithLabelValues(kind).Inc() }

// factory registers metrics with the prefix osm_.
type factory struct{ r *prometheus.Registry }

const prefix = "osm_"

func (f factory) counters(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + name, Help: help}, labels)
	f.r.MustRegister(v)
	return v
}

func (f factory) counter(name, help string) prometheus.Counter {
	return f.counters(name, help).WithLabelValues()
}

func (f factory) gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: prefix + name, Help: help}, labels)
	f.r.MustRegister(v)
	return v
}

func (f factory) gauge(name, help string) prometheus.Gauge {
	return f.gauges(name, help).WithLabelValues()
}

func (f factory) histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: prefix + name, Help: help, Buckets: buckets}, labels)
	f.r.MustRegister(v)
	return v
}

func (f factory) histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: prefix + name, Help: help, Buckets: buckets})
	f.r.MustRegister(h)
	return h
}
