package bugreport

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"openservicemesh.io/osm/internal/core/names"
)

// Resources of Kubernetes that a report holds.
var (
	namespaces     = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	podsGVR        = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	services       = schema.GroupVersionResource{Version: "v1", Resource: "services"}
	endpointSlices = schema.GroupVersionResource{Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"}
	deployments    = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	mutating       = schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "mutatingwebhookconfigurations"}
	validating     = schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingwebhookconfigurations"}
	crds           = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
)

// ours selects what the mesh owns.
var ours = metav1.ListOptions{LabelSelector: names.LabelAppName + "=" + names.AppName}

// list reads objects of one resource and removes what is secret in them. keep may be nil.
func (c *collector) list(ctx context.Context, gvr schema.GroupVersionResource, namespace string, o metav1.ListOptions, keep func(*unstructured.Unstructured) bool) ([]unstructured.Unstructured, error) {
	found, err := c.Dynamic.Resource(gvr).Namespace(namespace).List(ctx, o)
	if err != nil {
		return nil, err
	}
	items := slices.DeleteFunc(found.Items, func(u unstructured.Unstructured) bool { return keep != nil && !keep(&u) })
	for _, item := range items {
		object(item.Object)
	}
	return items, nil
}

// manifests writes objects as a stream of YAML documents.
func manifests(items []unstructured.Unstructured) ([]byte, error) {
	var out bytes.Buffer
	for _, item := range items {
		text, err := yaml.Marshal(item.Object)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&out, "---\n%s", text)
	}
	return out.Bytes(), nil
}

// listing writes a resource's objects to a file.
func (c *collector) listing(ctx context.Context, path string, gvr schema.GroupVersionResource, namespace string, o metav1.ListOptions) {
	items, err := c.list(ctx, gvr, namespace, o, nil)
	var text []byte
	if err == nil {
		text, err = manifests(items)
	}
	c.file(path, text, err)
}

// secretNames lists the names of a namespace's Secrets; their contents are not even asked for.
func (c *collector) secretNames(ctx context.Context, namespace string) ([]byte, error) {
	raw, err := c.Kube.CoreV1().RESTClient().Get().Namespace(namespace).Resource("secrets").
		SetHeader("Accept", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io").Do(ctx).Raw()
	if err != nil {
		return nil, err
	}
	var list struct {
		Items []struct {
			Metadata struct {
				Name string `json:"name"`
			} `json:"metadata"`
		} `json:"items"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for _, item := range list.Items {
		fmt.Fprintln(&out, item.Metadata.Name)
	}
	return out.Bytes(), nil
}

// events writes a namespace's events, oldest first, one in a line.
func (c *collector) events(ctx context.Context, path, namespace string) {
	list, err := c.Kube.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		c.file(path, nil, err)
		return
	}
	slices.SortStableFunc(list.Items, byTime)
	var out bytes.Buffer
	for _, e := range list.Items {
		fmt.Fprintf(&out, "%s %s %s %s/%s: %s\n", when(e).UTC().Format("2006-01-02T15:04:05Z"), e.Type, e.Reason, e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Message)
	}
	c.file(path, out.Bytes(), nil)
}
