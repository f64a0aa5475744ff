package probe

import corev1 "k8s.io/api/core/v1"

// hooks rewrites the lifecycle hooks of a container that call over HTTP: they come from the node in plaintext as probes do. It
// reports whether it changed one.
func (w *writer) hooks(c *corev1.Container) bool {
	if c.Lifecycle == nil {
		return false
	}
	changed := false
	for _, h := range []struct {
		kind    Kind
		handler *corev1.LifecycleHandler
	}{{PostStart, c.Lifecycle.PostStart}, {PreStop, c.Lifecycle.PreStop}} {
		if h.handler == nil || h.handler.HTTPGet == nil {
			continue
		}
		if w.late && h.kind == PostStart {
			w.warn(c, h.kind, "calls over HTTP before the sidecar of this cluster's Kubernetes version starts; it will fail: use exec, or Kubernetes 1.29 or newer")
			continue
		}
		before := len(w.res.Targets)
		if w.http(c, h.kind, &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: h.handler.HTTPGet}}) {
			w.res.Targets[before].Timeout = 0
			changed = true
		}
	}
	return changed
}
