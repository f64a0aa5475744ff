package manifests

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/podpatch"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// cluster is the objects, and does by turns what controllers of a real cluster do.
type cluster struct{ objects []runtime.Object }

func newCluster(objects []runtime.Object) *cluster { return &cluster{objects: objects} }

// of returns the objects of one type, ordered by namespace and name.
func of[T metav1.Object](c *cluster) []T {
	var out []T
	for _, o := range c.objects {
		if t, ok := o.(T); ok {
			out = append(out, t)
		}
	}
	slices.SortStableFunc(out, func(a, b T) int {
		return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
	})
	return out
}

// defaultNamespaces puts what names no namespace into "default", as kubectl does.
func (c *cluster) defaultNamespaces() {
	for _, o := range c.objects {
		if _, ok := o.(*corev1.Namespace); ok {
			continue
		}
		if m, err := meta.Accessor(o); err == nil && m.GetNamespace() == "" {
			m.SetNamespace(metav1.NamespaceDefault)
		}
	}
}

// addPodsOfWorkloads makes one pod of every workload, named as the workload is (StatefulSet: "-0" follows).
func (c *cluster) addPodsOfWorkloads() {
	for _, o := range slices.Clone(c.objects) {
		switch w := o.(type) {
		case *appsv1.Deployment:
			c.addPod(w, "", w.Spec.Template)
		case *appsv1.StatefulSet:
			t := w.Spec.Template
			t.Spec.Hostname, t.Spec.Subdomain = w.Name+"-0", w.Spec.ServiceName
			c.addPod(w, "-0", t)
		case *appsv1.DaemonSet:
			c.addPod(w, "", w.Spec.Template)
		case *appsv1.ReplicaSet:
			c.addPod(w, "", w.Spec.Template)
		case *batchv1.Job:
			c.addPod(w, "", w.Spec.Template)
		case *batchv1.CronJob:
			c.addPod(w, "", w.Spec.JobTemplate.Spec.Template)
		}
	}
}

func (c *cluster) addPod(owner metav1.Object, suffix string, t corev1.PodTemplateSpec) {
	c.objects = append(c.objects, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: owner.GetNamespace(), Name: owner.GetName() + suffix,
			Labels: maps.Clone(t.Labels), Annotations: maps.Clone(t.Annotations),
		},
		Spec: t.Spec,
	})
}

// Ranges that addresses are given from: those that local clusters use.
var (
	podRange     = netip.MustParseAddr("10.244.0.0")
	serviceRange = netip.MustParseAddr("10.96.0.0")
)

// assignAddresses gives pods and Services an address where they have none, in order of namespace and name, and pods a
// UID.
func (c *cluster) assignAddresses() {
	next := podRange
	for _, p := range of[*corev1.Pod](c) {
		next = next.Next()
		if p.UID == "" {
			p.UID = types.UID(p.Namespace + "/" + p.Name)
		}
		if p.Status.PodIP == "" && len(p.Status.PodIPs) == 0 {
			p.Status.PodIP = next.String()
			p.Status.PodIPs = []corev1.PodIP{{IP: p.Status.PodIP}}
		}
	}
	next = serviceRange
	for _, s := range of[*corev1.Service](c) {
		next = next.Next()
		if s.Spec.ClusterIP == "" && len(s.Spec.ClusterIPs) == 0 && s.Spec.Type != corev1.ServiceTypeExternalName {
			s.Spec.ClusterIP = next.String()
		}
	}
}

// addEndpoints makes the EndpointSlices of Services that have a selector and none of their own, one for each pod, since
// a named target port may mean another number in each.
func (c *cluster) addEndpoints() {
	served := map[types.NamespacedName]bool{}
	for _, s := range of[*discoveryv1.EndpointSlice](c) {
		served[types.NamespacedName{Namespace: s.Namespace, Name: s.Labels[discoveryv1.LabelServiceName]}] = true
	}
	pods := of[*corev1.Pod](c)
	for _, svc := range of[*corev1.Service](c) {
		if served[types.NamespacedName{Namespace: svc.Namespace, Name: svc.Name}] || len(svc.Spec.Selector) == 0 {
			continue
		}
		for _, p := range pods {
			if p.Namespace == svc.Namespace && snapshot.Selects(svc.Spec.Selector, p.Labels) && !finished(p) {
				c.objects = append(c.objects, endpointSlice(svc, p))
			}
		}
	}
}

func finished(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

func endpointSlice(svc *corev1.Service, p *corev1.Pod) *discoveryv1.EndpointSlice {
	out := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: svc.Namespace, Name: fmt.Sprintf("%s-%s", svc.Name, p.Name),
			Labels: map[string]string{discoveryv1.LabelServiceName: svc.Name}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{{
			Addresses: []string{p.Status.PodIP},
			TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: p.Namespace, Name: p.Name, UID: p.UID},
		}},
	}
	if p.Spec.Hostname != "" && p.Spec.Subdomain == svc.Name {
		out.Endpoints[0].Hostname = ptr.To(p.Spec.Hostname)
	}
	if a, err := netip.ParseAddr(p.Status.PodIP); err == nil && a.Is6() {
		out.AddressType = discoveryv1.AddressTypeIPv6
	}
	for _, port := range svc.Spec.Ports {
		number := targetPort(port, p)
		if number == 0 {
			continue
		}
		protocol := cmp.Or(port.Protocol, corev1.ProtocolTCP)
		out.Ports = append(out.Ports, discoveryv1.EndpointPort{Name: ptr.To(port.Name), Port: ptr.To(number), Protocol: &protocol})
	}
	return out
}

// targetPort returns 0 when the pod has no port of the name: a cluster would leave the pod out for that port too.
func targetPort(port corev1.ServicePort, p *corev1.Pod) int32 {
	name := port.TargetPort.StrVal
	if name == "" {
		return cmp.Or(port.TargetPort.IntVal, port.Port)
	}
	for _, c := range slices.Concat(p.Spec.Containers, p.Spec.InitContainers) {
		for _, cp := range c.Ports {
			if cp.Name == name {
				return cp.ContainerPort
			}
		}
	}
	return 0
}

// markNamespaces makes namespaces part of the mesh: those without a manifest; with any also those that some mesh,
// whichever, monitors; and all of them where no manifest carries the label, since most users add it with
// `osm namespace add` instead.
func (c *cluster) markNamespaces(opts Options, any bool) {
	known := map[string]bool{opts.OSMNamespace: true}
	list := of[*corev1.Namespace](c)
	unlabelled := !slices.ContainsFunc(list, func(ns *corev1.Namespace) bool { return ns.Labels[names.LabelMonitoredBy] != "" })
	for _, ns := range list {
		if known[ns.Name] {
			continue
		}
		known[ns.Name] = true
		if unlabelled || (any && ns.Labels[names.LabelMonitoredBy] != "") {
			ns.Labels = map[string]string{names.LabelMonitoredBy: opts.MeshName}
		}
	}
	for _, o := range slices.Clone(c.objects) {
		m, err := meta.Accessor(o)
		if err != nil || m.GetNamespace() == "" || known[m.GetNamespace()] {
			continue
		}
		known[m.GetNamespace()] = true
		c.objects = append(c.objects, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name: m.GetNamespace(), Labels: map[string]string{names.LabelMonitoredBy: opts.MeshName}}})
	}
}

// inject marks the pods that the injector would give a sidecar.
func (c *cluster) inject() {
	for _, p := range of[*corev1.Pod](c) {
		if p.Labels[names.LabelProxyUUID] != "" || podpatch.OptsOut(p) {
			continue
		}
		if p.Labels == nil {
			p.Labels = map[string]string{}
		}
		p.Labels[names.LabelProxyUUID] = p.Namespace + "/" + p.Name
	}
}
