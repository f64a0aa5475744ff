package fakeapi

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

// key names one object.
type key struct {
	kind
	namespace, name string
}

// event is one change, as watches see it.
type event struct {
	typ    string
	kind   kind
	object *unstructured.Unstructured
}

// put stores an object as it is and tells those who watch. The server's lock is held.
func (s *Server) put(k key, o *unstructured.Unstructured) {
	typ := "MODIFIED"
	old, known := s.objects[k]
	if !known {
		typ = "ADDED"
		s.order = append(s.order, k)
		s.uids++
		if o.GetUID() == "" {
			o.SetUID(types.UID(fmt.Sprintf("00000000-0000-0000-0000-%012d", s.uids)))
		}
		if o.GetGeneration() == 0 {
			o.SetGeneration(1)
		}
	} else if o.GetUID() == "" {
		o.SetUID(old.GetUID())
	}
	if !s.unready || k.plural != "deployments" {
		settle(o)
	}
	s.version++
	o.SetResourceVersion(strconv.Itoa(s.version))
	s.objects[k] = o
	s.publish(event{typ, k.kind, o})
}

// settle gives a workload the status that its controller would give it, if all went well.
func settle(o *unstructured.Unstructured) {
	set := func(value any, path ...string) { _ = unstructured.SetNestedField(o.Object, value, path...) }
	condition := func(typ string) []any { return []any{map[string]any{"type": typ, "status": "True", "reason": "Fake"}} }
	switch o.GetKind() {
	case "Deployment":
		n, found, _ := unstructured.NestedInt64(o.Object, "spec", "replicas")
		if !found {
			n = 1
		}
		set(map[string]any{"observedGeneration": o.GetGeneration(), "replicas": n, "updatedReplicas": n, "readyReplicas": n, "availableReplicas": n,
			"conditions": condition("Available")}, "status")
	case "Job":
		set(map[string]any{"succeeded": int64(1), "startTime": "2026-01-02T03:04:05Z", "conditions": condition("Complete")}, "status")
	case "CustomResourceDefinition":
		set(condition("Established"), "status", "conditions")
	}
}

// remove deletes an object; with a namespace goes what is in it.
func (s *Server) remove(k key) bool {
	o, known := s.objects[k]
	if !known {
		return false
	}
	delete(s.objects, k)
	s.order = slices.DeleteFunc(s.order, func(other key) bool { return other == k })
	s.publish(event{"DELETED", k.kind, o})
	if k.plural == "namespaces" {
		for _, other := range slices.Clone(s.order) {
			if other.namespace == k.name {
				s.remove(other)
			}
		}
	}
	return true
}

// list returns the objects of a kind that selectors fit, ordered as the API server does: by namespace and name.
func (s *Server) list(k kind, namespace, labelSelector, fieldSelector string) ([]*unstructured.Unstructured, error) {
	byLabel, err := labels.Parse(labelSelector)
	if err != nil {
		return nil, err
	}
	var out []*unstructured.Unstructured
	for at, o := range s.objects {
		if at.kind == k && (namespace == "" || at.namespace == namespace) && byLabel.Matches(labels.Set(o.GetLabels())) && fieldsFit(o, fieldSelector) {
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(a, b *unstructured.Unstructured) int {
		return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
	})
	return out, nil
}

func fieldsFit(o *unstructured.Unstructured, selector string) bool {
	for term := range strings.SplitSeq(selector, ",") {
		if term == "" {
			continue
		}
		path, want, _ := strings.Cut(strings.Replace(term, "==", "=", 1), "=")
		path, negated := strings.CutSuffix(path, "!")
		got, _, _ := unstructured.NestedString(o.Object, strings.Split(path, ".")...)
		if (got == want) == negated {
			return false
		}
	}
	return true
}

// patched lays a patch over an object. Strategic merge patches are taken for merge patches: the difference lies in lists.
func patched(o *unstructured.Unstructured, contentType string, patch []byte) (*unstructured.Unstructured, error) {
	before, err := o.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var after []byte
	if contentType == string(types.JSONPatchType) {
		p, err := jsonpatch.DecodePatch(patch)
		if err != nil {
			return nil, err
		}
		after, err = p.Apply(before)
		if err != nil {
			return nil, err
		}
	} else if after, err = jsonpatch.MergePatch(before, patch); err != nil {
		return nil, err
	}
	out := &unstructured.Unstructured{}
	return out, out.UnmarshalJSON(after)
}

// Load stores the objects of a YAML stream.
func (s *Server) Load(text []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, doc := range bytes.Split(text, []byte("\n---")) {
		raw, err := yaml.YAMLToJSON(doc)
		if err != nil {
			return err
		}
		if string(raw) == "null" {
			continue
		}
		o := &unstructured.Unstructured{}
		if err := o.UnmarshalJSON(raw); err != nil {
			return err
		}
		k, ok := s.kindOf(o)
		if !ok {
			return fmt.Errorf("no kind %s", o.GroupVersionKind())
		}
		s.put(key{k, o.GetNamespace(), o.GetName()}, o)
	}
	return nil
}

func (s *Server) kindOf(o *unstructured.Unstructured) (kind, bool) {
	for _, k := range s.kinds {
		if k.name == o.GetKind() && k.gv.String() == o.GetAPIVersion() {
			return k, true
		}
	}
	return kind{}, false
}

// Object returns one object as YAML, without what the server itself writes; empty text when there is none.
func (s *Server) Object(plural, namespace, name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, o := range s.objects {
		if k.plural == plural && k.namespace == namespace && k.name == name {
			o = o.DeepCopy()
			for _, field := range []string{"uid", "resourceVersion", "generation", "managedFields", "creationTimestamp"} {
				unstructured.RemoveNestedField(o.Object, "metadata", field)
			}
			text, _ := yaml.Marshal(o.Object)
			return string(text)
		}
	}
	return ""
}

// Names lists the objects there are, as "<plural> <namespace>/<name>", in order of their creation.
func (s *Server) Names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, k := range s.order {
		out = append(out, k.plural+" "+k.namespace+"/"+k.name)
	}
	return out
}
