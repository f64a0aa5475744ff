package verify

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"openservicemesh.io/osm/internal/core/names"
)

// healthPages are the pages of the control plane's programs, all on the same port.
var healthPages = []struct{ app, path string }{
	{names.Controller, "/health/alive"}, {names.Injector, "/healthz"}, {names.Bootstrap, "/healthz"},
}

// ControlPlaneHealth verifies the control plane's pods.
func ControlPlaneHealth(ctx context.Context, w World) Result {
	var steps []Result
	for _, p := range healthPages {
		pods, err := w.PodsOfApp(ctx, p.app)
		steps = append(steps, readiness(p.app, pods, err))
		if err == nil && len(pods) > 0 {
			steps = append(steps, w.probes(ctx, p.app, p.path, pods))
		}
	}
	return all(fmt.Sprintf("Verify the health of OSM control plane in namespace %q", w.Namespace), steps...)
}

func readiness(app string, pods []corev1.Pod, err error) Result {
	what := "Verify readiness status of pod for app " + app
	if err != nil {
		return unknown(what, "", "Error retrieving pods for app %s, err: %s", app, err)
	}
	if len(pods) == 0 {
		return failure(what, "", "No pods found for app %s", app)
	}
	var reasons []string
	for _, p := range pods {
		reasons = append(reasons, unready(&p)...)
	}
	if len(reasons) > 0 {
		return failure(what, "", "Pod not ready: %s", strings.Join(reasons, ", "))
	}
	return success(what)
}

// unready lists the conditions that keep a pod from being ready.
func unready(p *corev1.Pod) []string {
	var out []string
	ready := false
	for _, c := range p.Status.Conditions {
		if c.Status == corev1.ConditionTrue {
			ready = ready || c.Type == corev1.PodReady
			continue
		}
		text := fmt.Sprintf("%s of pod %s is %s", c.Type, p.Name, c.Status)
		if c.Message != "" {
			text += " (" + c.Message + ")"
		}
		out = append(out, text)
	}
	if !ready && len(out) == 0 {
		out = append(out, fmt.Sprintf("pod %s has no condition %s", p.Name, corev1.PodReady))
	}
	return out
}

func (w World) probes(ctx context.Context, app, path string, pods []corev1.Pod) Result {
	what := "Verify health probes of pod for app " + app
	var reasons []string
	for _, p := range pods {
		if err := w.Probe(ctx, p.Namespace, p.Name, path); err != nil {
			reasons = append(reasons, fmt.Sprintf("%s of pod %s: %s", path, p.Name, err))
		}
	}
	if len(reasons) > 0 {
		return failure(what, "", "Probe failure: %s", strings.Join(reasons, ", "))
	}
	return success(what)
}
