package podpatch

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
)

// Op is one operation of a JSON patch (RFC 6902).
type Op struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// diff says how to make after of before. It names only what an injection changes, so that fields of a newer Kubernetes
// that this program does not know stay as they are; a general comparison of the two documents would delete them.
func diff(before, after *corev1.Pod) []Op {
	var ops []Op
	ops = append(ops, mapOps("/metadata/labels", before.Labels, after.Labels)...)
	ops = append(ops, mapOps("/metadata/annotations", before.Annotations, after.Annotations)...)
	ops = append(ops, containerOps("/spec/initContainers", before.Spec.InitContainers, after.Spec.InitContainers)...)
	ops = append(ops, containerOps("/spec/containers", before.Spec.Containers, after.Spec.Containers)...)
	name := func(v corev1.Volume) string { return v.Name }
	same := func(a, b corev1.Volume) bool { return equality.Semantic.DeepEqual(a, b) }
	vs, _ := listOps("/spec/volumes", before.Spec.Volumes, after.Spec.Volumes, name, same)
	return append(ops, vs...)
}

func mapOps(path string, before, after map[string]string) []Op {
	if len(before) == 0 {
		if len(after) == 0 {
			return nil
		}
		return []Op{{"add", path, after}}
	}
	var ops []Op
	for _, k := range slices.Sorted(maps.Keys(before)) {
		if _, kept := after[k]; !kept {
			ops = append(ops, Op{Op: "remove", Path: path + "/" + escape(k)})
		}
	}
	for _, k := range slices.Sorted(maps.Keys(after)) {
		if old, had := before[k]; !had || old != after[k] {
			ops = append(ops, Op{"add", path + "/" + escape(k), after[k]})
		}
	}
	return ops
}

// containerOps inserts and removes whole containers and changes nothing but probes and hooks in those that stay.
func containerOps(path string, before, after []corev1.Container) []Op {
	name := func(c corev1.Container) string { return c.Name }
	ops, kept := listOps(path, before, after, name, sameButProbes)
	for i, c := range after {
		old, ok := kept[c.Name]
		if !ok {
			continue
		}
		at := path + "/" + strconv.Itoa(i)
		ops = append(ops, probeOps(at+"/livenessProbe", old.LivenessProbe, c.LivenessProbe)...)
		ops = append(ops, probeOps(at+"/readinessProbe", old.ReadinessProbe, c.ReadinessProbe)...)
		ops = append(ops, probeOps(at+"/startupProbe", old.StartupProbe, c.StartupProbe)...)
		if !equality.Semantic.DeepEqual(old.Lifecycle, c.Lifecycle) {
			ops = append(ops, Op{"add", at + "/lifecycle", c.Lifecycle})
		}
	}
	return ops
}

func sameButProbes(a, b corev1.Container) bool {
	a.LivenessProbe, a.ReadinessProbe, a.StartupProbe = b.LivenessProbe, b.ReadinessProbe, b.StartupProbe
	if a.Lifecycle != nil && b.Lifecycle != nil {
		a.Lifecycle = b.Lifecycle
	}
	return equality.Semantic.DeepEqual(a, b)
}

func probeOps(path string, before, after *corev1.Probe) []Op {
	switch {
	case equality.Semantic.DeepEqual(before, after):
		return nil
	case after == nil:
		return []Op{{Op: "remove", Path: path}}
	}
	return []Op{{"add", path, after}}
}

// listOps removes the elements that are gone or changed (from the end, so that indexes stay true) and then inserts what
// is new (from the start). It returns the elements of before that stay, by name. Elements that stay keep their order.
func listOps[T any](path string, before, after []T, name func(T) string, same func(a, b T) bool) ([]Op, map[string]T) {
	if len(before) == 0 {
		if len(after) == 0 {
			return nil, nil
		}
		return []Op{{"add", path, after}}, nil
	}
	wanted := map[string]T{}
	for _, e := range after {
		wanted[name(e)] = e
	}
	kept := map[string]T{}
	var ops []Op
	for i, e := range slices.Backward(before) {
		if w, ok := wanted[name(e)]; ok && same(e, w) {
			kept[name(e)] = e
			continue
		}
		ops = append(ops, Op{Op: "remove", Path: path + "/" + strconv.Itoa(i)})
	}
	for i, e := range after {
		if _, ok := kept[name(e)]; !ok {
			ops = append(ops, Op{"add", path + "/" + strconv.Itoa(i), e})
		}
	}
	return ops, kept
}

func escape(key string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(key) }
