package bugreport

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	configv1alpha2 "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/api/scheme"
	"openservicemesh.io/osm/internal/adminapi"
	"openservicemesh.io/osm/internal/core/names"
)

// logLines is how much of each log is kept: its end.
const logLines = 5000

func byTime(a, b corev1.Event) int { return when(a).Compare(when(b)) }

func when(e corev1.Event) time.Time {
	for _, t := range []time.Time{e.LastTimestamp.Time, e.EventTime.Time} {
		if !t.IsZero() {
			return t
		}
	}
	return e.CreationTimestamp.Time
}

func (c *collector) namespaces(ctx context.Context) error {
	items, err := c.list(ctx, namespaces, "", metav1.ListOptions{LabelSelector: names.LabelMonitoredBy}, nil)
	if err != nil {
		return err
	}
	for _, item := range items {
		c.members = append(c.members, item.GetName())
	}
	slices.Sort(c.members)
	text, err := manifests(items)
	c.file("namespaces.yaml", text, err)
	return nil
}

// controlPlanePods are the pods of the control plane.
func (c *collector) controlPlanePods(ctx context.Context) ([]corev1.Pod, error) {
	list, err := c.Kube.CoreV1().Pods(c.OSMNamespace).List(ctx, ours)
	if err != nil {
		return nil, err
	}
	if len(list.Items) == 0 {
		return nil, fmt.Errorf("there is no pod with label %s in namespace %s; --osm-namespace says where the control plane is", ours.LabelSelector, c.OSMNamespace)
	}
	return list.Items, nil
}

func (c *collector) controlPlane(ctx context.Context) error {
	c.listing(ctx, "control-plane/pods.yaml", podsGVR, c.OSMNamespace, ours)
	c.listing(ctx, "control-plane/deployments.yaml", deployments, c.OSMNamespace, metav1.ListOptions{})
	c.listing(ctx, "control-plane/services.yaml", services, c.OSMNamespace, metav1.ListOptions{})
	c.listing(ctx, "control-plane/mutating-webhooks.yaml", mutating, "", ours)
	c.listing(ctx, "control-plane/validating-webhooks.yaml", validating, "", ours)
	text, err := c.crdVersions(ctx)
	c.file("control-plane/crds.txt", text, err)
	text, err = c.secretNames(ctx, c.OSMNamespace)
	c.file("control-plane/secret-names.txt", text, err)
	c.events(ctx, "control-plane/events.txt", c.OSMNamespace)
	pods, err := c.controlPlanePods(ctx)
	for _, p := range pods {
		port := uint16(names.PortControllerHTTP)
		_, _ = fmt.Sscanf(flagValue(p.Spec.Containers, "http-port"), "%d", &port)
		for _, page := range []struct{ file, path string }{{"version.json", "version"}, {"metrics.txt", "metrics"}} {
			text, err := c.Get(ctx, p.Namespace, p.Name, port, page.path)
			c.file("control-plane/"+p.Name+"/"+page.file, text, err)
		}
		if p.Labels[names.LabelApp] == names.Controller {
			text, err := c.Get(ctx, p.Namespace, p.Name, names.PortControllerAdmin, strings.TrimPrefix(adminapi.PathProxies, "/"))
			c.file("control-plane/"+p.Name+"/proxies.json", text, err)
		}
	}
	return err
}

// crdVersions lists the mesh's custom resource definitions: which are there, and which versions they serve and store.
func (c *collector) crdVersions(ctx context.Context) ([]byte, error) {
	groups := map[string]bool{}
	for _, k := range scheme.Kinds() {
		groups[k.Group] = true
	}
	items, err := c.list(ctx, crds, "", metav1.ListOptions{}, func(u *unstructured.Unstructured) bool {
		group, _, _ := unstructured.NestedString(u.Object, "spec", "group")
		return groups[group]
	})
	var out []byte
	for _, item := range items {
		versions, _, _ := unstructured.NestedSlice(item.Object, "spec", "versions")
		out = fmt.Appendf(out, "%s", item.GetName())
		for _, v := range versions {
			if v, ok := v.(map[string]any); ok {
				out = fmt.Appendf(out, " %v(served=%v,storage=%v)", v["name"], v["served"], v["storage"])
			}
		}
		stored, _, _ := unstructured.NestedStringSlice(item.Object, "status", "storedVersions")
		out = fmt.Appendf(out, " stored=%v\n", stored)
	}
	return out, err
}

func (c *collector) controlPlaneLogs(ctx context.Context) error {
	pods, err := c.controlPlanePods(ctx)
	for _, p := range pods {
		c.logs(ctx, "control-plane/logs/", &p)
	}
	return err
}

// logs writes the logs of a pod's containers, and of those that were restarted also the log before.
func (c *collector) logs(ctx context.Context, folder string, p *corev1.Pod) {
	for _, status := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		path := folder + p.Name + "." + status.Name
		text, err := c.log(ctx, p, status.Name, false)
		c.file(path+".log", text, err)
		if status.RestartCount > 0 {
			text, err := c.log(ctx, p, status.Name, true)
			c.file(path+".previous.log", text, err)
		}
	}
}

func (c *collector) log(ctx context.Context, p *corev1.Pod, container string, previous bool) ([]byte, error) {
	lines := int64(logLines)
	return c.Kube.CoreV1().Pods(p.Namespace).GetLogs(p.Name, &corev1.PodLogOptions{Container: container, Previous: previous, TailLines: &lines}).DoRaw(ctx)
}

// policies writes the mesh's own objects, those of the stored versions.
func (c *collector) policies(ctx context.Context) error {
	for _, k := range scheme.Served() {
		if !k.Storage {
			continue
		}
		items, err := c.list(ctx, k.GroupVersionResource(), "", metav1.ListOptions{}, nil)
		if err == nil && len(items) == 0 {
			continue
		}
		text, marshalErr := manifests(items)
		c.file("policies/"+k.Plural+".yaml", text, errors.Join(err, marshalErr))
	}
	return nil
}

// renderInput writes what the configuration of proxies is made of, for osm x render.
func (c *collector) renderInput(ctx context.Context) error {
	member := func(u *unstructured.Unstructured) bool { return slices.Contains(c.members, u.GetNamespace()) }
	own := func(u *unstructured.Unstructured) bool {
		return u.GetLabels()[names.LabelMonitoredBy] != "" || u.GetName() == c.OSMNamespace
	}
	items, err := c.list(ctx, namespaces, "", metav1.ListOptions{}, own)
	if err != nil {
		return err
	}
	text, err := manifests(items)
	c.file("render/namespaces.yaml", text, err)
	for _, gvr := range []struct {
		file string
		list func() ([]unstructured.Unstructured, error)
	}{
		{"services", func() ([]unstructured.Unstructured, error) {
			return c.list(ctx, services, "", metav1.ListOptions{}, member)
		}},
		{"pods", func() ([]unstructured.Unstructured, error) {
			return c.list(ctx, podsGVR, "", metav1.ListOptions{}, member)
		}},
		{"endpointslices", func() ([]unstructured.Unstructured, error) {
			return c.list(ctx, endpointSlices, "", metav1.ListOptions{}, member)
		}},
		{"meshconfig", func() ([]unstructured.Unstructured, error) {
			return c.list(ctx, configv1alpha2.MeshConfigs, c.OSMNamespace, metav1.ListOptions{}, nil)
		}},
	} {
		items, err := gvr.list()
		text, marshalErr := manifests(items)
		c.file("render/"+gvr.file+".yaml", text, errors.Join(err, marshalErr))
	}
	for _, k := range scheme.Served() {
		if !k.Storage || k.Kind == configv1alpha2.KindMeshConfig {
			continue
		}
		items, err := c.list(ctx, k.GroupVersionResource(), "", metav1.ListOptions{}, member)
		if err == nil && len(items) == 0 {
			continue
		}
		text, marshalErr := manifests(items)
		c.file("render/"+k.Plural+".yaml", text, errors.Join(err, marshalErr))
	}
	return nil
}

// trustDomain is what the controller was told.
func (c *collector) trustDomain(ctx context.Context) string {
	pods, _ := c.Kube.CoreV1().Pods(c.OSMNamespace).List(ctx, metav1.ListOptions{LabelSelector: names.LabelApp + "=" + names.Controller})
	if pods != nil {
		for _, p := range pods.Items {
			if domain := flagValue(p.Spec.Containers, "trust-domain"); domain != "" {
				return domain
			}
		}
	}
	return names.DefaultTrustDomain
}
