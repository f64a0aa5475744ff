package podpatch

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"openservicemesh.io/osm/internal/core/names"
)

// Namespace is what a decision needs of the pod's namespace.
type Namespace struct {
	Name        string
	Labels      map[string]string
	Annotations map[string]string
}

// Mesh names the mesh that decides.
type Mesh struct {
	Name string
	// Namespace is the control plane's.
	Namespace string
}

// Decide reports whether the pod gets a sidecar. An annotation that is neither yes nor no is an error, for guessing
// would either break the application or leave it unprotected.
func Decide(pod *corev1.Pod, ns Namespace, m Mesh) (bool, error) {
	switch {
	case pod.Spec.HostNetwork:
		return false, nil
	case ns.Name == "kube-system", ns.Name == "kube-public", ns.Name == m.Namespace:
		return false, nil
	case ns.Labels[names.LabelMonitoredBy] != m.Name, has(ns.Labels, names.LabelIgnore), has(ns.Labels, names.LabelControlPlane):
		return false, nil
	}
	onPod, podSet, err := boolAnnotation(pod.Annotations, names.AnnotationInjection, "the pod")
	if err != nil {
		return false, err
	}
	onNamespace, _, err := boolAnnotation(ns.Annotations, names.AnnotationInjection, "namespace "+ns.Name)
	if err != nil {
		return false, err
	}
	if podSet {
		return onPod, nil
	}
	return onNamespace, nil
}

// LeftAlone says why a pod that would get a sidecar but for its own nature gets none; empty when it is not so.
func LeftAlone(pod *corev1.Pod, ns Namespace, m Mesh) string {
	plain := pod.DeepCopy()
	plain.Spec.HostNetwork = false
	if wanted, err := Decide(plain, ns, m); err != nil || !wanted {
		return ""
	}
	switch {
	case pod.Spec.HostNetwork:
		return "the pod uses its node's network (hostNetwork: true), whose traffic cannot be redirected for one pod alone; it gets no sidecar, and services of the mesh do not accept its connections"
	case windows(pod) && !asks(pod):
		return "the pod runs on Windows, where nothing redirects its traffic to a sidecar; it gets none, and services of the mesh do not accept its connections (with its annotation " +
			names.AnnotationInjection + ": enabled it gets one all the same)"
	}
	return ""
}

// asks reports whether the pod itself wants a sidecar.
func asks(pod *corev1.Pod) bool {
	on, set, err := boolAnnotation(pod.Annotations, names.AnnotationInjection, "the pod")
	return err == nil && set && on
}

func windows(pod *corev1.Pod) bool {
	return pod.Spec.NodeSelector[corev1.LabelOSStable] == "windows" || pod.Spec.OS != nil && pod.Spec.OS.Name == corev1.Windows
}

// OptsOut reports whether the pod itself rules a sidecar out, whatever its namespace says.
func OptsOut(pod *corev1.Pod) bool {
	on, set, err := boolAnnotation(pod.Annotations, names.AnnotationInjection, "the pod")
	return pod.Spec.HostNetwork || err == nil && set && !on
}

// MetricsEnabled reads the namespace's metrics annotation.
func MetricsEnabled(ns Namespace) (bool, error) {
	on, _, err := boolAnnotation(ns.Annotations, names.AnnotationMetrics, "namespace "+ns.Name)
	return on, err
}

func boolAnnotation(as map[string]string, key, where string) (value, set bool, err error) {
	s, ok := as[key]
	if !ok {
		return false, false, nil
	}
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "enabled", "yes", "true":
		return true, true, nil
	case "disabled", "no", "false":
		return false, true, nil
	}
	return false, false, fmt.Errorf("Invalid annotation value for key %q: %s (on %s; use enabled, yes or true, or disabled, no or false)", key, s, where)
}

func has(m map[string]string, key string) bool {
	_, ok := m[key]
	return ok
}
