package convert

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"openservicemesh.io/osm/internal/core/names"
)

// finished reports whether every container of the application has ended and none will be started again, while a sidecar that
// is an ordinary container keeps the pod running: so a Job would never complete. A native sidecar is ended by Kubernetes.
func finished(pod *corev1.Pod) bool {
	classic := slices.ContainsFunc(pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == names.ContainerEnvoy })
	if !classic || pod.Labels[names.LabelProxyUUID] == "" || len(pod.Status.ContainerStatuses) != len(pod.Spec.Containers) {
		return false
	}
	application := 0
	for _, c := range pod.Status.ContainerStatuses {
		switch c.Name {
		case names.ContainerEnvoy:
			continue
		case names.ContainerHealthcheck:
			// It ends with the sidecar, which it must have seen: that is what its startup probe asks.
			if c.Started == nil || !*c.Started {
				return false
			}
			continue
		}
		application++
		ended := c.State.Terminated
		switch {
		case ended == nil:
			return false
		case pod.Spec.RestartPolicy == corev1.RestartPolicyNever:
		case pod.Spec.RestartPolicy == corev1.RestartPolicyOnFailure && ended.ExitCode == 0:
		default:
			return false
		}
	}
	return application > 0
}
