package convert

import (
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"openservicemesh.io/osm/internal/core/names"
)

func TestFinished(t *testing.T) {
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	ended := func(code int32) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code}}
	}
	for _, c := range []struct {
		name   string
		policy corev1.RestartPolicy
		states map[string]corev1.ContainerState
		change func(*corev1.Pod)
		want   bool
	}{
		{"ended", corev1.RestartPolicyNever, map[string]corev1.ContainerState{"app": ended(0), names.ContainerEnvoy: running}, nil, true},
		{"failed for good", corev1.RestartPolicyNever, map[string]corev1.ContainerState{"app": ended(1), names.ContainerEnvoy: running}, nil, true},
		{"beside the health check's helper", corev1.RestartPolicyNever, map[string]corev1.ContainerState{"app": ended(0), names.ContainerHealthcheck: running, names.ContainerEnvoy: running}, nil, true},
		{"before the helper has seen the sidecar", corev1.RestartPolicyNever, map[string]corev1.ContainerState{"app": ended(0), names.ContainerHealthcheck: running, names.ContainerEnvoy: running},
			func(p *corev1.Pod) { p.Status.ContainerStatuses[1].Started = new(bool) }, false},
		{"before the helper is there", corev1.RestartPolicyNever, map[string]corev1.ContainerState{"app": ended(0), names.ContainerHealthcheck: {}, names.ContainerEnvoy: running},
			func(p *corev1.Pod) { p.Status.ContainerStatuses[1].Started = nil }, false},
		{"one of two runs", corev1.RestartPolicyNever, map[string]corev1.ContainerState{"app": ended(0), "other": running, names.ContainerEnvoy: running}, nil, false},
		{"succeeded", corev1.RestartPolicyOnFailure, map[string]corev1.ContainerState{"app": ended(0), names.ContainerEnvoy: running}, nil, true},
		{"started again after a failure", corev1.RestartPolicyOnFailure, map[string]corev1.ContainerState{"app": ended(1), names.ContainerEnvoy: running}, nil, false},
		{"started again always", corev1.RestartPolicyAlways, map[string]corev1.ContainerState{"app": ended(0), names.ContainerEnvoy: running}, nil, false},
		{"runs", corev1.RestartPolicyNever, map[string]corev1.ContainerState{"app": running, names.ContainerEnvoy: running}, nil, false},
		{"not started", corev1.RestartPolicyNever, map[string]corev1.ContainerState{"app": {}, names.ContainerEnvoy: {}}, nil, false},
		{"native sidecar", corev1.RestartPolicyNever, map[string]corev1.ContainerState{"app": ended(0)}, nil, false},
		{"no status yet", corev1.RestartPolicyNever, map[string]corev1.ContainerState{"app": ended(0), names.ContainerEnvoy: running},
			func(p *corev1.Pod) { p.Status.ContainerStatuses = p.Status.ContainerStatuses[:1] }, false},
		{"not the mesh's container", corev1.RestartPolicyNever, map[string]corev1.ContainerState{"app": ended(0), names.ContainerEnvoy: running},
			func(p *corev1.Pod) { p.Labels = nil }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{names.LabelProxyUUID: "x"}}}
			pod.Spec.RestartPolicy = c.policy
			for _, name := range []string{"app", "other", names.ContainerHealthcheck, names.ContainerEnvoy} {
				if s, ok := c.states[name]; ok {
					pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: name})
					started := s.Running != nil
					pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{Name: name, State: s, Started: &started})
				}
			}
			if c.change != nil {
				c.change(pod)
			}
			require.Equal(t, c.want, finished(pod))
		})
	}
}
