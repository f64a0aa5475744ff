package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	configv1alpha2 "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/internal/core/names"
)

// readList reads the objects of one of the mesh's own kinds, ordered by namespace and name; "" means every namespace.
func readList[T any, P interface {
	*T
	metav1.Object
}](ctx context.Context, client dynamic.Interface, gvr schema.GroupVersionResource, namespace string) ([]P, error) {
	list, err := client.Resource(gvr).Namespace(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var out []P
	for _, item := range list.Items {
		o := P(new(T))
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, o); err != nil {
			return nil, fmt.Errorf("%s %s/%s: %w", item.GetKind(), item.GetNamespace(), item.GetName(), err)
		}
		out = append(out, o)
	}
	slices.SortFunc(out, func(x, y P) int {
		return cmp.Or(cmp.Compare(x.GetNamespace(), y.GetNamespace()), cmp.Compare(x.GetName(), y.GetName()))
	})
	return out, nil
}

// readMeshConfig reads the MeshConfig of the mesh in a namespace.
func readMeshConfig(ctx context.Context, client dynamic.Interface, namespace string) (*configv1alpha2.MeshConfig, error) {
	item, err := client.Resource(configv1alpha2.MeshConfigs).Namespace(namespace).Get(ctx, names.MeshConfig, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	config := &configv1alpha2.MeshConfig{}
	return config, runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, config)
}
