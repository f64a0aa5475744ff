package check

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	configv1alpha2 "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/internal/core/capture"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/podpatch"
)

// redirectionCurrent compares what pods were started with, which cannot change while they run, with what is said now.
func redirectionCurrent(f *Facts, r *report) {
	if f.MeshConfig == nil {
		return
	}
	traffic := podpatch.TrafficOf(f.MeshConfig.Spec.Traffic)
	podIP := f.MeshConfig.Spec.Sidecar.LocalProxyMode == configv1alpha2.LocalProxyModePodIP
	for i := range f.Pods {
		p := &f.Pods[i]
		started, ok := startedWith(p)
		if !ok || over(p) || p.DeletionTimestamp != nil {
			continue
		}
		object := "pod " + p.Namespace + "/" + p.Name
		now, err := podpatch.Redirection(traffic, p.Annotations, podIP)
		if err != nil {
			r.fail(object, "correct it; new pods are refused until then", "%v", err)
			continue
		}
		if differs := differences(started, now); differs != "" {
			r.warn(object, restart(p), "it was started with other lists of what bypasses its sidecar than MeshConfig and its annotations have now: %s", differs)
		}
	}
}

// startedWith reads what the pod's init container was told; false when there is none.
func startedWith(p *corev1.Pod) (capture.Config, bool) {
	for _, c := range p.Spec.InitContainers {
		if c.Name != names.ContainerInit {
			continue
		}
		for _, e := range c.Env {
			if e.Name == capture.EnvConfig {
				started, err := capture.Parse(e.Value)
				started.SidecarPorts = nil
				return started, err == nil
			}
		}
	}
	return capture.Config{}, false
}

// differences names each field in which two configurations differ, with both values.
func differences(started, now capture.Config) string {
	a, b := fields(started), fields(now)
	all := maps.Clone(a)
	maps.Copy(all, b)
	var out []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if string(a[name]) != string(b[name]) {
			out = append(out, fmt.Sprintf("%s was %s and is %s", name, orNone(a[name]), orNone(b[name])))
		}
	}
	return strings.Join(out, "; ")
}

func fields(c capture.Config) map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	// Encoding lists of numbers and of checked ranges does not fail; were it otherwise, nothing would differ.
	if text, err := json.Marshal(c); err == nil {
		_ = json.Unmarshal(text, &out)
	}
	return out
}

func orNone(v json.RawMessage) string {
	if len(v) == 0 {
		return "empty"
	}
	return string(v)
}
