package controller

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// stages measures how long a change takes on its way, beyond the original's metrics.
type stages struct {
	stage    *prometheus.HistogramVec
	converge prometheus.Histogram
}

// The stages that are timed, as values of the label "stage".
const (
	stagePipeline = "pipeline" // snapshot → view; plans are made when a proxy needs them
	stagePush     = "push"     // view → every stream knows what concerns it
)

// newStages registers osm_control_plane_stage_seconds and osm_control_plane_convergence_seconds. Buckets are seconds, from
// half a millisecond to about 16 s.
func newStages(r prometheus.Registerer) *stages {
	buckets := prometheus.ExponentialBuckets(.0005, 2, 16)
	s := &stages{
		stage: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "osm_control_plane_stage_seconds", Help: "Seconds that each stage of a change took.", Buckets: buckets,
		}, []string{"stage"}),
		converge: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "osm_control_plane_convergence_seconds", Buckets: buckets,
			Help: "Seconds from a snapshot to the last connected proxy's acknowledgement of it or of a later one.",
		}),
	}
	r.MustRegister(s.stage, s.converge)
	return s
}

// took records a stage that began at begin and ends now.
func (s *stages) took(stage string, begin time.Time) {
	s.stage.WithLabelValues(stage).Observe(time.Since(begin).Seconds())
}

// converged records that all proxies have what was shown at begin.
func (s *stages) converged(begin time.Time) { s.converge.Observe(time.Since(begin).Seconds()) }
