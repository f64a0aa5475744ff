package controller

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"openservicemesh.io/osm/internal/kube/tokens"
)

// stages measures how long a change takes on its way, what it costs, how many proxies wait for it and who judges the tokens of
// proxies, beyond the original's metrics.
type stages struct {
	bytes    *prometheus.CounterVec
	stage    *prometheus.HistogramVec
	converge prometheus.Histogram
	tokens   *prometheus.CounterVec
}

// The stages that are timed, as values of the label "stage".
const (
	stagePipeline = "pipeline" // snapshot → view; plans are made when a proxy needs them
	stagePush     = "push"     // view → every stream knows what concerns it
)

// newStages registers osm_control_plane_stage_seconds, osm_control_plane_convergence_seconds, osm_control_plane_sent_bytes_total,
// osm_control_plane_proxies and osm_control_plane_tokens_total. Buckets are seconds, from half a millisecond to about 16 s. lag is asked
// with each scrape.
func newStages(r prometheus.Registerer, lag func() (behind, refusing int)) *stages {
	buckets := prometheus.ExponentialBuckets(.0005, 2, 16)
	s := &stages{
		stage: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "osm_control_plane_stage_seconds", Help: "Seconds that each stage of a change took.", Buckets: buckets,
		}, []string{"stage"}),
		converge: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "osm_control_plane_convergence_seconds", Buckets: buckets,
			Help: "Seconds from a snapshot to the last connected proxy's acknowledgement of it or of a later one.",
		}),
		tokens: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "osm_control_plane_tokens_total",
			Help: "Tokens of proxies by who judged them: the cluster's published keys or a TokenReview.",
		}, []string{"by"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "osm_control_plane_sent_bytes_total", Help: "Bytes of configuration sent to proxies.",
		}, []string{"type"}),
	}
	const help = "Connected proxies that have not acknowledged all of the newest configuration (behind) or refuse a part of it (refusing)."
	proxies := func(state string, count func() int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "osm_control_plane_proxies", Help: help, ConstLabels: prometheus.Labels{"state": state},
		}, func() float64 { return float64(count()) })
	}
	for _, by := range []string{tokens.ByKeys, tokens.ByReview} {
		s.tokens.WithLabelValues(by)
	}
	r.MustRegister(s.stage, s.converge, s.tokens, s.bytes,
		proxies("behind", func() int { behind, _ := lag(); return behind }),
		proxies("refusing", func() int { _, refusing := lag(); return refusing }))
	return s
}

// took records a stage that began at begin and ends now.
func (s *stages) took(stage string, begin time.Time) {
	s.stage.WithLabelValues(stage).Observe(time.Since(begin).Seconds())
}

// converged records that all proxies have what was shown at begin.
func (s *stages) converged(begin time.Time) { s.converge.Observe(time.Since(begin).Seconds()) }

// sent counts the bytes of a response.
func (s *stages) sent(resourceType string, bytes int) {
	s.bytes.WithLabelValues(resourceType).Add(float64(bytes))
}

// judged counts a token by who judged it.
func (s *stages) judged(by string) { s.tokens.WithLabelValues(by).Inc() }
