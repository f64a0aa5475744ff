package inject

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	admissionregv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	configv1alpha2 "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/podpatch"
	"openservicemesh.io/osm/internal/obs/errcode"
)

const patience, tick = 5 * time.Second, 5 * time.Millisecond

func meshConfig(name string, spec map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": configv1alpha2.GroupVersion.String(), "kind": "MeshConfig",
		"metadata": map[string]any{"name": name, "namespace": "osm-system"}, "spec": spec,
	}}
}

func TestClusterFollowsTheCluster(t *testing.T) {
	kube := fake.NewClientset(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: "bookstore", Labels: map[string]string{names.LabelMonitoredBy: "osm"},
		Annotations: map[string]string{names.AnnotationInjection: "enabled", "large": "value"},
	}})
	dyn := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(),
		map[schema.GroupVersionResource]string{configv1alpha2.MeshConfigs: "MeshConfigList"}, meshConfig("other", map[string]any{"sidecar": map[string]any{"logLevel": "trace"}}))
	var installed atomic.Bool
	dyn.PrependReactor("list", "meshconfigs", func(clienttesting.Action) (bool, runtime.Object, error) {
		if installed.Load() {
			return false, nil, nil
		}
		return true, nil, apierrors.NewNotFound(schema.GroupResource{Resource: "meshconfigs"}, "")
	})
	var root atomic.Pointer[string]
	one, two := "root-one", "root-two"
	root.Store(&one)
	changed := make(chan struct{})
	var current atomic.Value
	current.Store(changed)
	c, err := NewCluster(ClusterConfig{
		Kube: kube, Dynamic: dyn, Defaults: testDefaults(), Log: slog.New(slog.DiscardHandler),
		RootPEM: func() []byte { return []byte(*root.Load()) }, RootChanged: func() <-chan struct{} { return current.Load().(chan struct{}) },
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()

	require.Never(t, c.Synced, 200*time.Millisecond, tick, "without the MeshConfig resource the chart's words may not be final")
	installed.Store(true)
	require.Eventually(t, c.Synced, patience, tick)
	require.Equal(t, "error", c.Settings().LogLevel, "the chart's default, and another object's words do not count")
	ns, ok := c.Namespace("bookstore")
	require.True(t, ok)
	require.Equal(t, map[string]string{names.AnnotationInjection: "enabled"}, ns.Annotations)

	client := dyn.Resource(configv1alpha2.MeshConfigs).Namespace("osm-system")
	_, err = client.Create(ctx, meshConfig(names.MeshConfig, map[string]any{
		"sidecar": map[string]any{"logLevel": "debug", "envoyImage": "mine:1", "localProxyMode": "PodIP", "resources": map[string]any{"limits": map[string]any{"cpu": "1"}}},
		"traffic": map[string]any{"outboundPortExclusionList": []any{int64(6379)}},
	}), metav1.CreateOptions{})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return c.Settings().LogLevel == "debug" }, patience, tick)
	s := c.Settings()
	require.Equal(t, "mine:1", s.Images.Envoy)
	require.Equal(t, "init:1", s.Images.Init)
	require.True(t, s.PodIPMode)
	require.Equal(t, []int{6379}, s.Traffic.OutboundPorts)
	require.Equal(t, "TLSv1_2", s.TLS.MinVersion)

	bad := meshConfig(names.MeshConfig, map[string]any{"sidecar": "nonsense"})
	_, err = client.Update(ctx, bad, metav1.UpdateOptions{})
	require.NoError(t, err)
	require.Never(t, func() bool { return c.Settings().LogLevel != "debug" }, 100*time.Millisecond, tick, "the last good one stays")
	require.NoError(t, client.Delete(ctx, names.MeshConfig, metav1.DeleteOptions{}))
	require.Eventually(t, func() bool { return c.Settings().LogLevel == "error" }, patience, tick)

	root.Store(&two)
	current.Store(make(chan struct{}))
	close(changed)
	require.Eventually(t, func() bool { return c.Settings().RootPEM == two }, patience, tick)

	_, ok = c.Namespace("late")
	require.False(t, ok)
	_, err = kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "late"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	fresh, err := c.FreshNamespace(ctx, "late")
	require.NoError(t, err)
	require.Equal(t, "late", fresh.Name)

	cancel()
	require.NoError(t, <-ended)
}

func TestConfiguration(t *testing.T) {
	conf := Configuration{Name: "osm-webhook-osm", Mesh: podpatch.Mesh{Name: "osm", Namespace: "osm-system"}, Version: "v1.3.0+x", TimeoutSeconds: 20}
	got := conf.Build([]byte("ca"))
	require.Equal(t, "osm-injector", got.Labels["app"])
	require.Equal(t, "v1.3.0_x", got.Labels["app.kubernetes.io/version"])
	w := got.Webhooks[0]
	require.Equal(t, "osm-inject.k8s.io", w.Name)
	require.Equal(t, admissionregv1.Fail, *w.FailurePolicy)
	require.EqualValues(t, 9090, *w.ClientConfig.Service.Port)
	require.Equal(t, "/mutate-pod-creation", *w.ClientConfig.Service.Path)
	require.Equal(t, []byte("ca"), w.ClientConfig.CABundle)
	require.EqualValues(t, 20, *w.TimeoutSeconds)
	require.Equal(t, "osm", w.NamespaceSelector.MatchLabels[names.LabelMonitoredBy])
	require.Len(t, w.NamespaceSelector.MatchExpressions, 3)

	k := conf.Keeper(nil, nil)
	have := conf.Build([]byte("old"))
	require.False(t, k.Same(have, got))
	k.Take(have, got)
	require.True(t, k.Same(have, got))
	require.Equal(t, errcode.CreatingMutatingWebhook, errcode.Of(k.Failed("create", errors.New("forbidden"))))
	require.Equal(t, errcode.UpdatingMutatingWebhook, errcode.Of(k.Failed("update", errors.New("forbidden"))))
	require.ErrorContains(t, k.Failed("update", errors.New("forbidden")), "update MutatingWebhookConfiguration osm-webhook-osm: forbidden")
}
