package podpatch

import corev1 "k8s.io/api/core/v1"

const (
	// outliveSeconds is how long a classic sidecar goes on once its pod is told to end.
	outliveSeconds = 10
	// defaultGraceSeconds is the API's default of terminationGracePeriodSeconds.
	defaultGraceSeconds = 30
)

// outlive keeps a classic sidecar serving while the application, which is told to end at the same moment, finishes what it
// has begun and callers hear that the pod is gone. (A native sidecar is told only once the application has ended.) The
// API wants the hook to be shorter than the pod's grace period.
func (in *injection) outlive() *corev1.Lifecycle {
	grace := int64(defaultGraceSeconds)
	if g := in.pod.Spec.TerminationGracePeriodSeconds; g != nil {
		grace = *g
	}
	seconds := min(outliveSeconds, grace-1)
	if !in.s.PreStopSleep || in.windows || seconds < 1 {
		return nil
	}
	return &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: seconds}}}
}
