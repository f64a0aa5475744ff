package state

import (
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/policy"
	"openservicemesh.io/osm/internal/core/snapshot"
	"openservicemesh.io/osm/internal/kube/convert"

	configv1alpha2 "openservicemesh.io/osm/api/config/v1alpha2"
)

// Sink takes the objects of one resource into a State. Its methods are those that a client-go reflector wants of a
// store. A reflector calls Replace only with a complete list that the API server has confirmed, so nothing is removed
// because of a half-read or failed list.
type Sink struct {
	// Resource is the plural name, for logs.
	Resource string

	put     func(obj any) error
	remove  func(k Key)
	replace func(list []any) error
	synced  func() bool
}

// Add stores an object.
func (s *Sink) Add(obj any) error { return s.put(obj) }

// Update stores an object.
func (s *Sink) Update(obj any) error { return s.put(obj) }

// Delete removes an object.
func (s *Sink) Delete(obj any) error {
	k, err := keyOf(obj)
	if err != nil {
		return err
	}
	s.remove(k)
	return nil
}

// Replace makes the list all there is, in one step.
func (s *Sink) Replace(list []any, _ string) error { return s.replace(list) }

// Resync does nothing: the State misses no change that it was told.
func (s *Sink) Resync() error { return nil }

// Synced reports whether a complete list has arrived.
func (s *Sink) Synced() bool { return s.synced() }

func keyOf(obj any) (Key, error) {
	m, err := meta.Accessor(obj)
	if err != nil {
		return Key{}, err
	}
	return Key{Namespace: m.GetNamespace(), Name: m.GetName()}, nil
}

// sinkOf joins a table and a conversion; keep false means that the object counts as absent.
func sinkOf[O any, V any](resource string, t *table[V], convert func(obj O) (v V, keep bool)) *Sink {
	read := func(obj any) (k Key, v V, keep bool, err error) {
		if k, err = keyOf(obj); err != nil {
			return k, v, false, err
		}
		typed, ok := obj.(O)
		if !ok {
			return k, v, false, fmt.Errorf("%s: unexpected type %T of %s", resource, obj, k)
		}
		v, keep = convert(typed)
		return k, v, keep, nil
	}
	return &Sink{
		Resource: resource,
		put: func(obj any) error {
			k, v, keep, err := read(obj)
			if err == nil {
				t.put(k, v, keep)
			}
			return err
		},
		remove: func(k Key) {
			var none V
			t.put(k, none, false)
		},
		replace: func(list []any) error {
			rows := make(map[Key]V, len(list))
			for _, obj := range list {
				k, v, keep, err := read(obj)
				if err != nil {
					return err
				}
				if keep {
					rows[k] = v
				}
			}
			t.replace(rows)
			return nil
		},
		synced: func() bool {
			t.mu.Lock()
			defer t.mu.Unlock()
			return t.synced
		},
	}
}

// Namespaces takes corev1.Namespace objects; those that belong to another mesh or to none are left out.
func (s *State) Namespaces() *Sink {
	return sinkOf("namespaces", s.namespaces, func(ns *corev1.Namespace) (namespaceRow, bool) {
		return namespaceRow{}, ns.Labels[names.LabelMonitoredBy] == s.opts.MeshName
	})
}

// Services takes corev1.Service objects.
func (s *State) Services() *Sink {
	return sinkOf("services", s.services, func(o *corev1.Service) (convert.Service, bool) {
		return convert.ServiceOf(o), true
	})
}

// EndpointSlices takes discoveryv1.EndpointSlice objects.
func (s *State) EndpointSlices() *Sink { return sinkOf("endpointslices", s.slices, endpointSlice) }

func endpointSlice(o *discoveryv1.EndpointSlice) (convert.Slice, bool) { return convert.SliceOf(o) }

// Pods takes corev1.Pod objects.
func (s *State) Pods() *Sink {
	return sinkOf("pods", s.pods, func(o *corev1.Pod) (*convert.Pod, bool) {
		p, keep := convert.PodOf(o)
		return &p, keep
	})
}

// MeshConfig takes MeshConfig objects, typed or unstructured; all but the one that counts are left out.
func (s *State) MeshConfig() *Sink {
	return sinkOf("meshconfigs", s.meshConfig, func(o runtime.Object) (configRow, bool) {
		k, err := keyOf(o)
		if err != nil || k != (Key{s.opts.OSMNamespace, s.opts.ConfigName}) {
			return configRow{}, false
		}
		typed, finding := decode(o, configv1alpha2.KindMeshConfig, func() snapshot.Object { return &configv1alpha2.MeshConfig{} })
		config, _ := typed.(*configv1alpha2.MeshConfig)
		return configRow{config: config, finding: finding}, true
	})
}

// Policies takes the objects of one of policy.Kinds, typed or unstructured.
func (s *State) Policies(kind policy.Kind) *Sink {
	return sinkOf(kind.Resource.Resource, s.policies[kind.Name], func(o runtime.Object) (policyRow, bool) {
		typed, finding := decode(o, kind.Name, kind.New)
		return policyRow{object: typed, finding: finding}, true
	})
}

// decode makes an object typed and takes away what changes without a change of meaning: status (which the control
// plane itself writes), resource version, managed fields and the copy that kubectl keeps. An object that does not fit
// its Go type becomes a finding and leaves the others of its kind alone.
func decode(in runtime.Object, kind string, newObject func() snapshot.Object) (snapshot.Object, *snapshot.Finding) {
	var content map[string]any
	var err error
	if u, ok := in.(*unstructured.Unstructured); ok {
		content = maps.Clone(u.Object)
	} else if content, err = runtime.DefaultUnstructuredConverter.ToUnstructured(in); err != nil {
		return nil, unreadable(in, kind, err)
	}
	delete(content, "status")
	out := newObject()
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(content, out); err != nil {
		return nil, unreadable(in, kind, err)
	}
	out.SetManagedFields(nil)
	out.SetResourceVersion("")
	annotations := maps.Clone(out.GetAnnotations())
	delete(annotations, corev1.LastAppliedConfigAnnotation)
	if len(annotations) == 0 {
		annotations = nil
	}
	out.SetAnnotations(annotations)
	return out, nil
}

func unreadable(in any, kind string, err error) *snapshot.Finding {
	ref := snapshot.ObjectRef{Kind: kind}
	if m, ok := in.(metav1.Object); ok {
		ref.Namespace, ref.Name = m.GetNamespace(), m.GetName()
	}
	return &snapshot.Finding{
		Object: ref, Severity: snapshot.Error, Reason: "Unreadable", Code: "E3002",
		Message: fmt.Sprintf("the object is ignored, because it cannot be read: %v. Correct the field and apply it again", err),
	}
}
