package life

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/clientcmd"
)

// notCompared are the kinds that are left out, each with the reason.
var notCompared = map[string]string{
	"events":               "a history of what happened, which the API server forgets by itself",
	"events.events.k8s.io": "the same events in another group",
	"componentstatuses":    "not stored: made up for each request",
}

// objects lists every object of every kind that the API server serves, as what people and programs see of it without
// reading its contents: its name, labels, annotations and finalizers.
func objects(ctx context.Context) (map[string]string, error) {
	config, err := clientcmd.BuildConfigFromFlags("", mesh.Kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = 200, 200
	served, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	lists, err := served.ServerPreferredResources()
	if err != nil {
		return nil, err
	}
	client, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, err
		}
		for _, r := range list.APIResources {
			kind := gv.WithResource(r.Name)
			if !slices.Contains(r.Verbs, "list") || notCompared[kind.GroupResource().String()] != "" {
				continue
			}
			found, err := client.Resource(kind).List(ctx, metav1.ListOptions{})
			if err != nil {
				return nil, fmt.Errorf("list %s: %w", kind.GroupResource(), err)
			}
			for _, o := range found.Items {
				all[fmt.Sprintf("%s %s/%s", kind.GroupResource(), o.Namespace, o.Name)] = fmt.Sprintf("labels %v annotations %v finalizers %v deleted %v",
					o.Labels, slices.Sorted(maps.Keys(o.Annotations)), o.Finalizers, o.DeletionTimestamp != nil)
			}
		}
	}
	return all, nil
}

// asBefore waits until the cluster holds exactly what it held before.
func asBefore(t *testing.T, before map[string]string) {
	t.Helper()
	var diff string
	for deadline := time.Now().Add(90 * time.Second); ; time.Sleep(time.Second) {
		after, err := objects(t.Context())
		if err == nil {
			if diff = cmp.Diff(before, after); diff == "" {
				t.Logf("%d objects of every kind, none added, none missing, none changed", len(after))
				return
			}
		} else {
			diff = err.Error()
		}
		if time.Now().After(deadline) {
			t.Fatalf("the cluster is not as before the installation (-before +after):\n%s", strings.TrimSpace(diff))
		}
	}
}
