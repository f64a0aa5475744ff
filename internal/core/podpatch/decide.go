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
