package source

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"

	configv1alpha2 "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/policy"
	"openservicemesh.io/osm/internal/kube/kubeapi"
	"openservicemesh.io/osm/internal/kube/state"
)

// watched is one resource and where its objects go.
type watched struct {
	sink *state.Sink
	// crd is the resource when a CRD serves it, so that it may be absent while the mesh is being installed.
	crd     schema.GroupVersionResource
	example runtime.Object
	lw      cache.ListerWatcher
}

func everything(*metav1.ListOptions) {}

// watches lists everything the mesh looks at. Only namespaces are narrowed by label: the objects in them are watched
// across the cluster, because one stream per resource is cheaper than one per namespace and resource.
func (s *Source) watches() []watched {
	k := s.opts.Kube
	services, pods, slices := k.Services(""), k.Pods(""), k.EndpointSlices("")
	byMesh := func(o *metav1.ListOptions) {
		o.LabelSelector = labels.Set{names.LabelMonitoredBy: s.opts.MeshName}.String()
	}
	out := []watched{
		{sink: s.state.Namespaces(), example: &corev1.Namespace{}, lw: kubeapi.ListWatch(k.Namespaces, k.Namespaces, byMesh)},
		{sink: s.state.Services(), example: &corev1.Service{}, lw: kubeapi.ListWatch(services, services, everything)},
		{sink: s.state.Pods(), example: &corev1.Pod{}, lw: kubeapi.ListWatch(pods, pods, everything)},
		{sink: s.state.EndpointSlices(), example: &discoveryv1.EndpointSlice{}, lw: kubeapi.ListWatch(slices, slices, everything)},
	}
	byName := func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("metadata.name", s.opts.ConfigName).String()
	}
	out = append(out, s.custom(configv1alpha2.MeshConfigs, s.opts.OSMNamespace, s.state.MeshConfig(), byName))
	for _, k := range policy.Kinds() {
		out = append(out, s.custom(k.Resource, "", s.state.Policies(k), everything))
	}
	return out
}

// custom reads a CRD's objects untyped and converts them one by one, so that one object which does not fit its Go type
// does not hide all the others of its kind.
func (s *Source) custom(r schema.GroupVersionResource, ns string, sink *state.Sink, tweak func(*metav1.ListOptions)) watched {
	var c dynamic.ResourceInterface = s.opts.Dynamic.Resource(r)
	if ns != "" {
		c = s.opts.Dynamic.Resource(r).Namespace(ns)
	}
	return watched{sink: sink, crd: r, example: &unstructured.Unstructured{},
		lw: kubeapi.ListWatch[*unstructured.UnstructuredList](s.opts.Dynamic, c, tweak)}
}
