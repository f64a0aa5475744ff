package probe

import (
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func hook(g corev1.HTTPGetAction) *corev1.LifecycleHandler {
	return &corev1.LifecycleHandler{HTTPGet: &g}
}

func TestHooks(t *testing.T) {
	web := &corev1.Container{Name: "web", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}, Lifecycle: &corev1.Lifecycle{
		PostStart: hook(corev1.HTTPGetAction{Path: "warm?x=1", Port: intstr.FromString("http"), HTTPHeaders: []corev1.HTTPHeader{{Name: "A", Value: "b"}}}),
		PreStop:   hook(corev1.HTTPGetAction{Path: "/drain", Port: intstr.FromInt32(8443), Scheme: corev1.URISchemeHTTPS}),
	}}
	other := &corev1.Container{Name: "other", Lifecycle: &corev1.Lifecycle{
		PostStart: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"x"}}},
		PreStop:   hook(corev1.HTTPGetAction{Host: "elsewhere", Port: intstr.FromInt32(80)}),
	}}
	before := web.DeepCopy()
	untouched := other.DeepCopy()

	got := Rewrite([]*corev1.Container{web, other}, false)
	require.Empty(t, got.Warnings)
	require.Equal(t, untouched, other, "a command and another host's server are left alone")
	require.Equal(t, []Target{
		{Kind: PostStart, Container: "web", Mode: HTTP, ListenPort: 15901, ListenPath: "/osm-poststart-hook/web", Port: 8080, Path: "/warm?x=1"},
		{Kind: PreStop, Container: "web", Mode: TLS, ListenPort: 15920, Port: 8443},
	}, got.Targets)
	require.Equal(t, &corev1.Lifecycle{
		PostStart: hook(corev1.HTTPGetAction{Path: "/osm-poststart-hook/web", Port: intstr.FromInt32(15901), HTTPHeaders: []corev1.HTTPHeader{{Name: "A", Value: "b"}}}),
		PreStop:   hook(corev1.HTTPGetAction{Path: "/drain", Port: intstr.FromInt32(15920), Scheme: corev1.URISchemeHTTPS}),
	}, web.Lifecycle)
	Restore(web, got.Originals["web"])
	require.Equal(t, before, web)
}

func TestHooksBeforeTheSidecar(t *testing.T) {
	c := &corev1.Container{Name: "web", Lifecycle: &corev1.Lifecycle{
		PostStart: hook(corev1.HTTPGetAction{Port: intstr.FromInt32(8080)}), PreStop: hook(corev1.HTTPGetAction{Port: intstr.FromInt32(8080)})}}
	got := Rewrite([]*corev1.Container{c}, true)
	require.Len(t, got.Warnings, 1)
	require.Contains(t, got.Warnings[0], `container "web": its postStart hook`)
	require.Len(t, got.Targets, 1)
	require.Equal(t, PreStop, got.Targets[0].Kind)
	require.EqualValues(t, 8080, c.Lifecycle.PostStart.HTTPGet.Port.IntVal)
}
