package podpatch

import (
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"openservicemesh.io/osm/internal/core/names"
)

func TestLeftAlone(t *testing.T) {
	m := Mesh{Name: "osm", Namespace: "osm-system"}
	ours := Namespace{Name: "shop", Labels: map[string]string{names.LabelMonitoredBy: "osm"}, Annotations: map[string]string{names.AnnotationInjection: "enabled"}}
	host := func(p *corev1.Pod) { p.Spec.HostNetwork = true }
	windows := func(p *corev1.Pod) { p.Spec.OS = &corev1.PodOS{Name: corev1.Windows} }
	for _, c := range []struct {
		name   string
		change func(*corev1.Pod)
		ns     Namespace
		want   string
	}{
		{"an ordinary pod", func(*corev1.Pod) {}, ours, ""},
		{"the node's network", host, ours, "hostNetwork"},
		{"the node's network, opted out", func(p *corev1.Pod) {
			host(p)
			p.Annotations = map[string]string{names.AnnotationInjection: "no"}
		}, ours, ""},
		{"the node's network, outside of the mesh", host, Namespace{Name: "other"}, ""},
		{"Windows", windows, ours, "Windows"},
		{"Windows by its node", func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{corev1.LabelOSStable: "windows"} }, ours, "Windows"},
		{"Windows, and asks for it", func(p *corev1.Pod) {
			windows(p)
			p.Annotations = map[string]string{names.AnnotationInjection: "yes"}
		}, ours, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			pod := &corev1.Pod{}
			c.change(pod)
			got := LeftAlone(pod, c.ns, m)
			if c.want == "" {
				require.Empty(t, got)
				return
			}
			require.Contains(t, got, c.want)
		})
	}
}
