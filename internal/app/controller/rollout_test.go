package controller

import (
	"bytes"
	"context"
	"testing"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	policyv1alpha1 "openservicemesh.io/osm/api/policy/v1alpha1"
	accessv1alpha3 "openservicemesh.io/osm/api/smi/access/v1alpha3"
	specsv1alpha4 "openservicemesh.io/osm/api/smi/specs/v1alpha4"
	"openservicemesh.io/osm/internal/core/envoy"
)

func policyObject(apiVersion, kind, name string, generation int64, spec map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": apiVersion, "kind": kind,
		"metadata": map[string]any{"namespace": "shop", "name": name, "generation": generation, "uid": "u-" + name}, "spec": spec,
	}}
}

func routeGroup(generation int64, path string) *unstructured.Unstructured {
	return policyObject("specs.smi-spec.io/v1alpha4", "HTTPRouteGroup", "group", generation,
		map[string]any{"matches": []any{map[string]any{"name": "m", "pathRegex": path}}})
}

func toCart(name, group string) *unstructured.Unstructured {
	return policyObject("access.smi-spec.io/v1alpha3", "TrafficTarget", name, 1, map[string]any{
		"destination": map[string]any{"kind": "ServiceAccount", "name": "cart", "namespace": "shop"},
		"sources":     []any{map[string]any{"kind": "ServiceAccount", "name": "buyer", "namespace": "shop"}},
		"rules":       []any{map[string]any{"kind": "HTTPRouteGroup", "name": group, "matches": []any{"m"}}},
	})
}

type condition struct {
	status, reason, message string
	generation              int64
}

// condition reads one condition of an object of namespace shop.
func (w *world) condition(r schema.GroupVersionResource, name, which string) condition {
	w.t.Helper()
	u, err := w.dynamic.Resource(r).Namespace("shop").Get(w.t.Context(), name, metav1.GetOptions{})
	require.NoError(w.t, err)
	list, _, err := unstructured.NestedSlice(u.Object, "status", "conditions")
	require.NoError(w.t, err)
	for _, c := range list {
		m := c.(map[string]any)
		if m["type"] == which {
			out := condition{status: m["status"].(string), reason: m["reason"].(string), message: m["message"].(string)}
			out.generation, _ = m["observedGeneration"].(int64)
			return out
		}
	}
	return condition{}
}

// refuse makes clients refuse resources of a type that hold a text.
func refuse(t envoy.TypeURL, text, words string) func(envoy.TypeURL, *discovery.Resource) string {
	return func(typ envoy.TypeURL, r *discovery.Resource) string {
		if typ == t && bytes.Contains(r.GetResource().GetValue(), []byte(text)) {
			return words
		}
		return ""
	}
}

// TestARefusalReachesTheObject: what a proxy refuses is said on the objects behind it, with the proxy's words, until they
// change for the better.
func TestARefusalReachesTheObject(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.configure(meshConfig(false, false))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	create := func(r schema.GroupVersionResource, u *unstructured.Unstructured) {
		_, err := w.dynamic.Resource(r).Namespace("shop").Create(ctx, u, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	create(specsv1alpha4.HTTPRouteGroups, routeGroup(1, "/good"))
	create(accessv1alpha3.TrafficTargets, toCart("target", "group"))
	create(policyv1alpha1.Retries, policyObject("policy.openservicemesh.io/v1alpha1", "Retry", "retry", 1, map[string]any{
		"source":       map[string]any{"kind": "ServiceAccount", "name": "cart", "namespace": "shop"},
		"destinations": []any{map[string]any{"kind": "Service", "name": "cart", "namespace": "shop"}},
		"retryPolicy":  map[string]any{"retryOn": "5xx", "numRetries": int64(1)},
	}))
	client, _ := w.connect("good")
	client.Refuse(refuse(envoy.Route, "/evil", "Proto constraint violation: no such class"))
	require.NoError(t, client.Wait(ctx, has(envoy.Route, "rds-inbound.80")))
	programmed := func(r schema.GroupVersionResource, name string, generation int64) {
		t.Helper()
		w.eventually(name+" is programmed", func() bool {
			c := w.condition(r, name, "Programmed")
			return c.status == "True" && c.generation == generation
		})
	}
	programmed(specsv1alpha4.HTTPRouteGroups, "group", 1)
	programmed(accessv1alpha3.TrafficTargets, "target", 1)
	programmed(policyv1alpha1.Retries, "retry", 1)

	update := func(u *unstructured.Unstructured) {
		t.Helper()
		_, err := w.dynamic.Resource(specsv1alpha4.HTTPRouteGroups).Namespace("shop").Update(ctx, u, metav1.UpdateOptions{})
		require.NoError(t, err)
	}
	update(routeGroup(2, "/evil"))
	w.eventually("the refusal is said", func() bool {
		return w.condition(specsv1alpha4.HTTPRouteGroups, "group", "Programmed").reason == "RejectedByProxy"
	})
	got := w.condition(specsv1alpha4.HTTPRouteGroups, "group", "Programmed")
	require.Equal(t, "False", got.status)
	require.EqualValues(t, 2, got.generation)
	require.Equal(t, `the proxies of cart.shop refuse the route config "rds-inbound.80" that this object shapes, and keep the version before; they say: rds-inbound.80: Proto constraint violation: no such class. Change what they name`, got.message)
	require.Equal(t, "True", w.condition(specsv1alpha4.HTTPRouteGroups, "group", "Accepted").status)
	require.Equal(t, "True", w.condition(accessv1alpha3.TrafficTargets, "target", "Programmed").status, "it has not changed, and what it says is in force")
	require.Equal(t, "True", w.condition(policyv1alpha1.Retries, "retry", "Programmed").status)
	event := func(kind, reason string) bool {
		list, err := w.kube.CoreV1().Events("shop").List(ctx, metav1.ListOptions{})
		require.NoError(t, err)
		for _, e := range list.Items {
			if e.InvolvedObject.Name == "group" && e.Type == kind && e.Reason == reason {
				return true
			}
		}
		return false
	}
	w.eventually("an event", func() bool { return event(corev1.EventTypeWarning, "RejectedByProxy") })

	update(routeGroup(3, "/better"))
	programmed(specsv1alpha4.HTTPRouteGroups, "group", 3)
	w.eventually("the refusal is over", func() bool { return len(w.program.hub.Rejections()) == 0 })
}

// TestARefusalAboutAServiceIsAnEvent: a Service has no condition of the mesh's.
func TestARefusalAboutAServiceIsAnEvent(t *testing.T) {
	w := newWorld(t)
	_, err := w.dynamic.Resource(schema.GroupVersionResource{Version: "v1", Resource: "services"}).Namespace("shop").Create(t.Context(),
		policyObject("v1", "Service", "cart", 0, nil), metav1.CreateOptions{})
	require.NoError(t, err)
	w.start()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client, _ := w.connect("good")
	client.Refuse(refuse(envoy.Cluster, "shop/cart|80|local", "no such thing"))
	require.NoError(t, client.Wait(ctx, has(envoy.Cluster, "shop/cart|80")))
	w.eventually("an event", func() bool {
		list, err := w.kube.CoreV1().Events("shop").List(ctx, metav1.ListOptions{})
		require.NoError(t, err)
		for _, e := range list.Items {
			if e.InvolvedObject.Kind == "Service" && e.InvolvedObject.Name == "cart" && e.Reason == "RejectedByProxy" {
				require.Contains(t, e.Message, `refuse the cluster "shop/cart|80|local"`)
				return true
			}
		}
		return false
	})
}
