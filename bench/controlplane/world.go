package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	configv1alpha2 "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/api/crds"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
)

const (
	meshNamespace = "osm-system"
	meshName      = "osm"
	// writers is how many objects are written at one time.
	writers = 32
	// perSlice is how many endpoints Kubernetes puts into one slice.
	perSlice = 100
	// callers is how many other services may call each service in SMI mode.
	callers = 1
)

// size is how large the mesh is. Pods are spread evenly over services, each of which has an identity of its own; endpoints
// are in all, more than pods where asked for.
type size struct{ pods, services, endpoints int }

// perNamespace services live in one namespace.
const perNamespace = 10

func namespace(s int) string         { return fmt.Sprint("shop-", s/perNamespace) }
func service(s int) string           { return fmt.Sprint("app-", s) }
func (z size) serviceOf(pod int) int { return pod % z.services }

// address is that of the n-th endpoint of a service; the first ones are pods.
func address(s, n int) string { return fmt.Sprintf("10.%d.%d.%d", 1+s/250, 1+s%250, 1+n) }

// world is what is in the API server.
type world struct {
	size
	*apiServer
	// tokens has one for each pod.
	tokens []string
	uids   []string
	// podNames are those of the pods there are now.
	podNames []string
	// short is whether an endpoint of service 0 is away.
	short bool
}

var crdResource = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// fill writes everything the controller reads.
func (w *world) fill(ctx context.Context) error {
	if err := w.install(ctx); err != nil {
		return fmt.Errorf("install: %w", err)
	}
	if err := w.many(w.services, func(s int) error { return w.writeService(ctx, s) }); err != nil {
		return fmt.Errorf("services: %w", err)
	}
	w.tokens, w.uids, w.podNames = make([]string, w.pods), make([]string, w.pods), make([]string, w.pods)
	for p := range w.podNames {
		w.podNames[p] = podName(p)
	}
	if err := w.many(w.pods, func(p int) error { return w.writePod(ctx, p) }); err != nil {
		return fmt.Errorf("pods: %w", err)
	}
	return w.many(w.services, func(s int) error { return w.writeSlices(ctx, s) })
}

func (w *world) many(n int, write func(i int) error) error {
	var g errgroup.Group
	g.SetLimit(writers)
	for i := range n {
		g.Go(func() error { return write(i) })
	}
	return g.Wait()
}

// install writes definitions, namespaces and the MeshConfig.
func (w *world) install(ctx context.Context) error {
	defs, err := crds.All()
	if err != nil {
		return err
	}
	for _, d := range defs {
		d.Kind, d.APIVersion = "CustomResourceDefinition", "apiextensions.k8s.io/v1"
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(d)
		if err != nil {
			return err
		}
		if _, err := w.dynamic.Resource(crdResource).Create(ctx, &unstructured.Unstructured{Object: content}, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	spaces := []string{meshNamespace}
	for s := 0; s < w.services; s += perNamespace {
		spaces = append(spaces, namespace(s))
	}
	for _, ns := range spaces {
		o := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}
		if ns != meshNamespace {
			o.Labels = map[string]string{names.LabelMonitoredBy: meshName}
		}
		if _, err := w.kube.CoreV1().Namespaces().Create(ctx, o, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return w.eventually(ctx, func() error {
		return w.create(ctx, configv1alpha2.MeshConfigs, meshNamespace, map[string]any{
			"apiVersion": "config.openservicemesh.io/v1alpha2", "kind": "MeshConfig", "metadata": map[string]any{"name": names.MeshConfig},
			"spec": map[string]any{"traffic": map[string]any{"enablePermissiveTrafficPolicyMode": true},
				"observability": map[string]any{"enableDebugServer": true}},
		})
	})
}

// eventually tries until a definition that was just written is served.
func (w *world) eventually(ctx context.Context, try func() error) error {
	deadline := time.Now().Add(time.Minute)
	for {
		err := try()
		if err == nil || time.Now().After(deadline) || ctx.Err() != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (w *world) create(ctx context.Context, r schema.GroupVersionResource, ns string, object map[string]any) error {
	_, err := w.dynamic.Resource(r).Namespace(ns).Create(ctx, &unstructured.Unstructured{Object: object}, metav1.CreateOptions{})
	return err
}

// patch merges JSON into a custom object.
func (w *world) patch(ctx context.Context, r schema.GroupVersionResource, ns, name, json string) error {
	_, err := w.dynamic.Resource(r).Namespace(ns).Patch(ctx, name, types.MergePatchType, []byte(json), metav1.PatchOptions{})
	return err
}

var (
	trafficTargets = schema.GroupVersionResource{Group: "access.smi-spec.io", Version: "v1alpha3", Resource: "traffictargets"}
	routeGroups    = schema.GroupVersionResource{Group: "specs.smi-spec.io", Version: "v1alpha4", Resource: "httproutegroups"}
	trafficSplits  = schema.GroupVersionResource{Group: "split.smi-spec.io", Version: "v1alpha2", Resource: "trafficsplits"}
)

// writeService writes a Service, its account, and who may call it.
func (w *world) writeService(ctx context.Context, s int) error {
	ns, name := namespace(s), service(s)
	meta := metav1.ObjectMeta{Namespace: ns, Name: name}
	if _, err := w.kube.CoreV1().ServiceAccounts(ns).Create(ctx, &corev1.ServiceAccount{ObjectMeta: meta}, metav1.CreateOptions{}); err != nil {
		return err
	}
	http := "http"
	o := &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{Selector: map[string]string{"app": name},
		Ports: []corev1.ServicePort{{Name: http, Port: 8080, TargetPort: intstr.FromInt32(8080), AppProtocol: &http}}}}
	if _, err := w.kube.CoreV1().Services(ns).Create(ctx, o, metav1.CreateOptions{}); err != nil {
		return err
	}
	if err := w.create(ctx, routeGroups, ns, map[string]any{
		"apiVersion": "specs.smi-spec.io/v1alpha4", "kind": "HTTPRouteGroup", "metadata": map[string]any{"name": name},
		"spec": map[string]any{"matches": []any{map[string]any{"name": "all", "pathRegex": "/.*", "methods": []any{"*"}}}},
	}); err != nil {
		return err
	}
	var sources []any
	for c := 1; c <= callers; c++ {
		from := (s + c) % w.services
		sources = append(sources, map[string]any{"kind": "ServiceAccount", "name": service(from), "namespace": namespace(from)})
	}
	return w.create(ctx, trafficTargets, ns, map[string]any{
		"apiVersion": "access.smi-spec.io/v1alpha3", "kind": "TrafficTarget", "metadata": map[string]any{"name": name},
		"spec": map[string]any{"destination": map[string]any{"kind": "ServiceAccount", "name": name, "namespace": ns}, "sources": sources,
			"rules": []any{map[string]any{"kind": "HTTPRouteGroup", "name": name, "matches": []any{"all"}}}},
	})
}

func podName(p int) string { return fmt.Sprint("pod-", p) }

// writePod writes a running pod and signs its token.
func (w *world) writePod(ctx context.Context, p int) error {
	s := w.serviceOf(p)
	ns, name := namespace(s), w.podNames[p]
	o := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, Labels: map[string]string{"app": service(s), names.LabelProxyUUID: "uuid-of-" + name}},
		Spec: corev1.PodSpec{ServiceAccountName: service(s), NodeName: "node",
			Containers: []corev1.Container{{Name: "app", Image: "app"}, {Name: names.ContainerEnvoy, Image: "envoy"}}},
	}
	made, err := w.kube.CoreV1().Pods(ns).Create(ctx, o, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	made.Status.Phase, made.Status.PodIP = corev1.PodRunning, address(s, p/w.services)
	if _, err := w.kube.CoreV1().Pods(ns).UpdateStatus(ctx, made, metav1.UpdateOptions{}); err != nil {
		return err
	}
	account, err := w.kube.CoreV1().ServiceAccounts(ns).Get(ctx, service(s), metav1.GetOptions{ResourceVersion: "0"})
	if err != nil {
		return err
	}
	w.uids[p] = string(made.UID)
	claims := w.issuer.ClaimsOf(meshid.Pod{Namespace: ns, Name: name, UID: w.uids[p]}, service(s), string(account.UID),
		names.TokenAudience(meshName, meshNamespace), time.Now())
	w.tokens[p], err = w.issuer.Sign(claims)
	return err
}

// endpointsOf is how many endpoints a service has.
func (w *world) endpointsOf(s int) int {
	n := w.endpoints / w.services
	if s < w.endpoints%w.services {
		n++
	}
	return n
}

func (w *world) writeSlices(ctx context.Context, s int) error {
	for first, total := 0, w.endpointsOf(s); first < total; first += perSlice {
		if _, err := w.kube.DiscoveryV1().EndpointSlices(namespace(s)).Create(ctx, w.slice(s, first, min(perSlice, total-first)), metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// slice has n ready endpoints of a service from the first-th on.
func (w *world) slice(s, first, n int) *discoveryv1.EndpointSlice {
	port, name, ready := int32(8080), "http", true
	o := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace(s), Name: fmt.Sprintf("%s-%d", service(s), first/perSlice),
			Labels: map[string]string{discoveryv1.LabelServiceName: service(s)}},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
	}
	for i := first; i < first+n; i++ {
		e := discoveryv1.Endpoint{Addresses: []string{address(s, i)}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}
		if p := s + i*w.services; p < w.pods {
			e.TargetRef = &corev1.ObjectReference{Kind: "Pod", Namespace: namespace(s), Name: w.podNames[p], UID: types.UID(w.uids[p])}
		}
		o.Endpoints = append(o.Endpoints, e)
	}
	return o
}

// flap makes the first slice of service 0 one endpoint shorter, or whole again.
func (w *world) flap(ctx context.Context) error {
	n := min(perSlice, w.endpointsOf(0))
	if w.short = !w.short; w.short {
		n--
	}
	_, err := w.kube.DiscoveryV1().EndpointSlices(namespace(0)).Update(ctx, w.slice(0, 0, n), metav1.UpdateOptions{})
	return err
}

func (w *world) permissive(ctx context.Context, on bool) error {
	return w.patch(ctx, configv1alpha2.MeshConfigs, meshNamespace, names.MeshConfig,
		fmt.Sprintf(`{"spec":{"traffic":{"enablePermissiveTrafficPolicyMode":%v}}}`, on))
}

// split sends a part of the calls to service 0 to service 1, by weight: a policy that touches whoever may call it.
func (w *world) split(ctx context.Context) error {
	return w.create(ctx, trafficSplits, namespace(0), map[string]any{
		"apiVersion": "split.smi-spec.io/v1alpha2", "kind": "TrafficSplit", "metadata": map[string]any{"name": "split"},
		"spec": map[string]any{"service": service(0), "backends": []any{
			map[string]any{"service": service(0), "weight": 50}, map[string]any{"service": service(1), "weight": 50}}},
	})
}

func (w *world) unsplit(ctx context.Context) error {
	return w.dynamic.Resource(trafficSplits).Namespace(namespace(0)).Delete(ctx, "split", metav1.DeleteOptions{})
}

func (w *world) weigh(ctx context.Context, weight int) error {
	return w.patch(ctx, trafficSplits, namespace(0), "split", fmt.Sprintf(
		`{"spec":{"backends":[{"service":%q,"weight":%d},{"service":%q,"weight":%d}]}}`, service(0), weight, service(1), 100-weight))
}

// replace makes a new pod in the place of one and puts its address where the old one's was.
func (w *world) replace(ctx context.Context, pod int) error {
	s := w.serviceOf(pod)
	ns, fresh := namespace(s), fmt.Sprint(podName(pod), "-new")
	o := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: fresh, Labels: map[string]string{"app": service(s), names.LabelProxyUUID: fresh}},
		Spec:       corev1.PodSpec{ServiceAccountName: service(s), NodeName: "node", Containers: []corev1.Container{{Name: "app", Image: "app"}}},
	}
	made, err := w.kube.CoreV1().Pods(ns).Create(ctx, o, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	made.Status.Phase, made.Status.PodIP = corev1.PodRunning, fmt.Sprintf("10.200.%d.%d", pod/250%250, 1+pod%250)
	if _, err := w.kube.CoreV1().Pods(ns).UpdateStatus(ctx, made, metav1.UpdateOptions{}); err != nil {
		return err
	}
	slice := w.slice(s, 0, min(perSlice, w.endpointsOf(s)))
	e := &slice.Endpoints[pod/w.services%len(slice.Endpoints)]
	e.Addresses, e.TargetRef.Name, e.TargetRef.UID = []string{made.Status.PodIP}, fresh, made.UID
	_, err = w.kube.DiscoveryV1().EndpointSlices(ns).Update(ctx, slice, metav1.UpdateOptions{})
	return err
}
