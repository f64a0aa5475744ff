package podpatch

import (
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
)

func TestAClassicSidecarOutlivesTheApplication(t *testing.T) {
	grace := func(n int64) *int64 { return &n }
	for _, c := range []struct {
		name    string
		grace   *int64
		sleep   bool
		windows bool
		want    int64
	}{
		{"default grace period", nil, true, false, 10},
		{"short grace period", grace(5), true, false, 4},
		{"hardly any", grace(1), true, false, 0},
		{"none", grace(0), true, false, 0},
		{"a cluster without the action", nil, false, false, 0},
		{"Windows", nil, true, true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := &injection{pod: &corev1.Pod{Spec: corev1.PodSpec{TerminationGracePeriodSeconds: c.grace}}, s: Settings{PreStopSleep: c.sleep}, windows: c.windows}
			got := in.outlive()
			if c.want == 0 {
				require.Nil(t, got)
				return
			}
			require.Equal(t, c.want, got.PreStop.Sleep.Seconds)
		})
	}
}
