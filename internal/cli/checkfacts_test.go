package cli

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"

	configv1alpha2 "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/internal/core/check"
	"openservicemesh.io/osm/internal/core/policy"
)

// What proxies refuse is read from the same lists as the policies, and each kind is listed once.
func TestPolicyFactsListEachKindOnce(t *testing.T) {
	lists := map[schema.GroupVersionResource]string{
		corev1.SchemeGroupVersion.WithResource("namespaces"): "List", corev1.SchemeGroupVersion.WithResource("services"): "List",
		corev1.SchemeGroupVersion.WithResource("pods"): "List", discoveryv1.SchemeGroupVersion.WithResource("endpointslices"): "List",
		configv1alpha2.MeshConfigs: "List",
	}
	for _, k := range policy.Kinds() {
		lists[k.Resource] = "List"
	}
	refused := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "policy.openservicemesh.io/v1alpha1", "kind": "Retry",
		"metadata": map[string]any{"name": "r", "namespace": "shop"},
		"status": map[string]any{"conditions": []any{map[string]any{
			"type": "Programmed", "status": "False", "reason": "RejectedByProxy", "message": "bad"}}},
	}}
	dynamic := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), lists, refused)
	deployment := controller("osm", "osm-system")
	cluster := &Cluster{Kube: fake.NewClientset(deployment), Dynamic: dynamic}
	a := &app{Options: Options{Connect: func(Access) (*Cluster, error) { return cluster, nil }}, namespace: "osm-system"}
	var f check.Facts
	f.Controllers = append(f.Controllers, *deployment)
	require.NoError(t, a.policyFacts(t.Context(), cluster, &f))
	require.Len(t, f.Refused, 1)
	require.Equal(t, "shop", f.Refused[0].Object.Namespace)
	require.Equal(t, "bad", f.Refused[0].Message)
	listed := map[string]int{}
	for _, action := range dynamic.Actions() {
		listed[action.GetResource().Resource]++
	}
	require.Len(t, listed, len(lists))
	for resource, n := range listed {
		require.Equal(t, 1, n, resource)
	}
}

// A pod that leaves while facts are read is not one whose sidecar has lost its control plane.
func TestPodsThatLeaveAreNotChecked(t *testing.T) {
	pod := func(name string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name)}}
	}
	stays, leaving, again := pod("stays"), pod("leaving"), pod("again")
	f := check.Facts{Pods: []corev1.Pod{*stays, *leaving, *pod("gone"), *again}}
	leaving.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	leaving.Finalizers = []string{"kubernetes.io/wait"} // else the fake server takes it for gone
	again.UID = "another pod of that name"
	cluster := &Cluster{Kube: fake.NewClientset(stays, leaving, again, pod("new"))}
	require.NoError(t, (&app{}).departureFacts(t.Context(), cluster, &f))
	require.Equal(t, []corev1.Pod{*stays}, f.Pods)
}
