package controller

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/kube/tokens"
)

func TestStages(t *testing.T) {
	r := prometheus.NewRegistry()
	s := newStages(r, func() (behind, refusing int) { return 3, 2 })
	s.took(stagePipeline, time.Now().Add(-time.Second))
	s.took(stagePush, time.Now())
	s.converged(time.Now().Add(-2 * time.Second))
	s.judged(tokens.ByKeys)
	s.sent("type.googleapis.com/envoy.config.cluster.v3.Cluster", 40)
	s.sent("type.googleapis.com/envoy.config.cluster.v3.Cluster", 2)
	families, err := r.Gather()
	require.NoError(t, err)
	sums, counts := map[string]float64{}, map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetName() + "=" + l.GetValue()
			}
			if m.GetGauge() != nil {
				counts[name] = m.GetGauge().GetValue()
				continue
			}
			if m.GetCounter() != nil {
				counts[name] = m.GetCounter().GetValue()
				continue
			}
			require.EqualValues(t, 1, m.GetHistogram().GetSampleCount(), name)
			sums[name] = m.GetHistogram().GetSampleSum()
		}
	}
	require.Len(t, sums, 3)
	require.GreaterOrEqual(t, sums["osm_control_plane_stage_seconds stage=pipeline"], 1.0)
	require.GreaterOrEqual(t, sums["osm_control_plane_convergence_seconds"], 2.0)
	require.Equal(t, map[string]float64{
		"osm_control_plane_tokens_total by=keys": 1, "osm_control_plane_tokens_total by=review": 0,
		"osm_control_plane_proxies state=behind": 3, "osm_control_plane_proxies state=refusing": 2,
		"osm_control_plane_sent_bytes_total type=type.googleapis.com/envoy.config.cluster.v3.Cluster": 42,
	}, counts)
}
