package compat

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestDeployPrometheus: the chart runs a Prometheus when it is told to, with the values it is told, and with the very scrape
// configuration that the guides give to users, which a real Prometheus is tested with.
func TestDeployPrometheus(t *testing.T) {
	require.NotContains(t, mustRender(t, renderOpts{}).Manifest, "osm-prometheus")

	all := objects(t, mustRender(t, renderOpts{sets: []string{
		"osm.deployPrometheus=true,osm.prometheus.port=9999,osm.prometheus.retention.time=3d,osm.prometheus.image=example.com/prometheus:v1",
		"osm.prometheus.resources.limits.memory=4G,osm.prometheus.nodeSelector.disk=big,osm.networkPolicy.enable=true"}}).Manifest)
	const config = "osm-prometheus-server-conf"
	sample, err := os.ReadFile("../../docs/example/manifests/samples/prometheus/prometheus.yaml")
	require.NoError(t, err)
	configOf := func(all []unstructured.Unstructured) string {
		return strings.TrimSpace(as[corev1.ConfigMap](t, find(t, all, "ConfigMap", config)).Data["prometheus.yml"])
	}
	require.Equal(t, configOf(objects(t, string(sample))), configOf(all))

	pod := as[appsv1.Deployment](t, find(t, all, "Deployment", "osm-prometheus")).Spec.Template.Spec
	require.Len(t, pod.Containers, 1)
	c := pod.Containers[0]
	require.Equal(t, "example.com/prometheus:v1", c.Image)
	require.Subset(t, c.Args, []string{"--storage.tsdb.retention.time=3d", "--web.listen-address=:9999"})
	require.Equal(t, "4G", c.Resources.Limits.Memory().String())
	require.Equal(t, map[string]string{"disk": "big"}, pod.NodeSelector)
	require.NotNil(t, pod.Affinity)
	require.True(t, *pod.SecurityContext.RunAsNonRoot)
	port := as[corev1.Service](t, find(t, all, "Service", "osm-prometheus")).Spec.Ports[0]
	require.Equal(t, []int32{9999, 9999}, []int32{port.Port, port.TargetPort.IntVal})
	find(t, all, "NetworkPolicy", "osm-prometheus")
}
