package state

import (
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	configv1alpha2 "openservicemesh.io/osm/api/config/v1alpha2"
	policyv1 "openservicemesh.io/osm/api/policy/v1alpha1"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/policy"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// fixture is a State with one monitored namespace "shop" and a MeshConfig.
type fixture struct {
	t *testing.T
	*State
	woken int
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{t: t}
	f.State = New(Options{MeshName: "osm", OSMNamespace: "osm-system", TrustDomain: "td"}, func() { f.woken++ })
	require.NoError(t, f.Namespaces().Replace([]any{namespace("shop", "osm")}, ""))
	require.NoError(t, f.State.MeshConfig().Replace([]any{meshConfig(true)}, ""))
	return f
}

func (f *fixture) add(s *Sink, obj any) { f.t.Helper(); require.NoError(f.t, s.Add(obj)) }

func (f *fixture) build() Result {
	f.t.Helper()
	r, ok := f.Build()
	require.True(f.t, ok, "something changed")
	return r
}

func (f *fixture) unchanged() {
	f.t.Helper()
	_, ok := f.Build()
	require.False(f.t, ok, "nothing changed")
}

func namespace(name, mesh string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"openservicemesh.io/monitored-by": mesh}}}
}

func meshConfig(permissive bool) *configv1alpha2.MeshConfig {
	c := &configv1alpha2.MeshConfig{ObjectMeta: metav1.ObjectMeta{Namespace: "osm-system", Name: "osm-mesh-config"}}
	c.Spec.Traffic.EnablePermissiveTrafficPolicyMode = permissive
	return c
}

func service(ns, name string, target intstr.IntOrString) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Spec: corev1.ServiceSpec{
		ClusterIP: "10.0.0.1", Selector: map[string]string{"app": name},
		Ports: []corev1.ServicePort{{Name: "web", Port: 80, TargetPort: target}},
	}}
}

func pod(ns, name, ip string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, UID: types.UID(name), ResourceVersion: "1", Labels: map[string]string{"app": "cart"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "named", ContainerPort: 7070}}}}},
		Status:     corev1.PodStatus{PodIP: ip},
	}
}

func slice(ns, name, svc string, port int32, ips ...string) *discoveryv1.EndpointSlice {
	web := "web"
	out := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: ns, Name: name, Labels: map[string]string{"kubernetes.io/service-name": svc}},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: &web, Port: &port}},
	}
	for _, ip := range ips {
		out.Endpoints = append(out.Endpoints, discoveryv1.Endpoint{Addresses: []string{ip}})
	}
	return out
}

var cart = meshid.ServicePort{Service: meshid.Service{Namespace: "shop", Name: "cart"}, Port: 80}

func addresses(list []snapshot.Endpoint) []string {
	var out []string
	for _, e := range list {
		out = append(out, e.Addr.String())
	}
	return out
}

func TestFirstBuildWaitsForMeshConfigAndReportsEverything(t *testing.T) {
	f := &fixture{t: t}
	f.State = New(Options{MeshName: "osm", OSMNamespace: "osm-system"}, func() {})
	f.add(f.Namespaces(), namespace("shop", "osm"))
	f.unchanged()
	f.add(f.State.MeshConfig(), meshConfig(true))
	r := f.build()
	require.True(t, r.Changed.Config)
	require.True(t, r.Parts.Mesh.Permissive)
	f.unchanged()
}

func TestOnlyMonitoredNamespacesAreShown(t *testing.T) {
	f := newFixture(t)
	f.add(f.Services(), service("other", "cart", intstr.FromInt32(8080)))
	f.add(f.Pods(), pod("other", "p", "10.1.0.1"))
	f.add(f.EndpointSlices(), slice("other", "s", "cart", 8080, "10.1.0.1"))
	f.add(f.Namespaces(), namespace("foreign", "another-mesh"))
	r := f.build()
	require.Empty(t, r.Parts.Services)
	require.Empty(t, r.Parts.Pods)

	f.add(f.Namespaces(), namespace("other", "osm"))
	r = f.build()
	require.Len(t, r.Parts.Services, 1)
	require.Len(t, r.Parts.Pods, 1)
	require.Len(t, r.Parts.Endpoints, 1)

	require.NoError(t, f.Namespaces().Delete(namespace("other", "osm")))
	r = f.build()
	require.True(t, r.Changed.Config)
	require.Empty(t, r.Parts.Services)
	require.Empty(t, r.Parts.Pods)
	require.Empty(t, r.Parts.Endpoints)
}

func TestEndpointChangeIsNoConfigChange(t *testing.T) {
	f := newFixture(t)
	f.add(f.Services(), service("shop", "cart", intstr.FromInt32(8080)))
	f.add(f.Services(), service("shop", "desk", intstr.FromInt32(8080)))
	f.add(f.EndpointSlices(), slice("shop", "a", "cart", 8080, "10.1.0.2", "10.1.0.1"))
	f.add(f.EndpointSlices(), slice("shop", "d", "desk", 8080, "10.1.0.9"))
	first := f.build()
	require.Equal(t, []string{"10.1.0.1:8080", "10.1.0.2:8080"}, addresses(first.Parts.Endpoints[cart]))

	f.add(f.EndpointSlices(), slice("shop", "b", "cart", 8080, "10.1.0.2", "10.1.0.3"))
	second := f.build()
	require.Equal(t, snapshot.Changed{Endpoints: []meshid.ServicePort{cart}}, second.Changed)
	require.Equal(t, []string{"10.1.0.1:8080", "10.1.0.2:8080", "10.1.0.3:8080"}, addresses(second.Parts.Endpoints[cart]))
	require.Equal(t, []string{"10.1.0.1:8080", "10.1.0.2:8080"}, addresses(first.Parts.Endpoints[cart]), "the older snapshot keeps what it had")
	desk := meshid.ServicePort{Service: meshid.Service{Namespace: "shop", Name: "desk"}, Port: 80}
	require.Same(t, &first.Parts.Endpoints[desk][0], &second.Parts.Endpoints[desk][0], "untouched lists are shared")
	for i := range first.Parts.Services {
		require.Same(t, first.Parts.Services[i], second.Parts.Services[i], "services are shared")
	}

	require.NoError(t, f.EndpointSlices().Replace([]any{slice("shop", "d", "desk", 8080, "10.1.0.9")}, ""))
	third := f.build()
	require.Equal(t, []meshid.ServicePort{cart}, third.Changed.Endpoints)
	require.NotContains(t, third.Parts.Endpoints, cart)
}

func TestHeadlessEndpointsAreConfig(t *testing.T) {
	for name, edit := range map[string]func(*corev1.Service){
		"headless":         func(s *corev1.Service) { s.Spec.ClusterIP = "None" },
		"without selector": func(s *corev1.Service) { s.Spec.Selector = nil },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			svc := service("shop", "cart", intstr.FromInt32(8080))
			edit(svc)
			f.add(f.Services(), svc)
			f.build()
			f.add(f.EndpointSlices(), slice("shop", "a", "cart", 8080, "10.1.0.1"))
			r := f.build()
			require.True(t, r.Changed.Config)
			require.Equal(t, []meshid.ServicePort{cart}, r.Changed.Endpoints)
		})
	}
}

func TestNamedTargetPort(t *testing.T) {
	f := newFixture(t)
	f.add(f.Services(), service("shop", "cart", intstr.FromString("named")))
	target := func(r Result) uint16 { return r.Parts.Services[0].Ports[0].TargetPort }
	require.EqualValues(t, 80, target(f.build()), "nothing tells: the Service's own port")

	f.add(f.Pods(), pod("shop", "p", "10.1.0.1"))
	require.EqualValues(t, 7070, target(f.build()), "the selected pod's container port")

	f.add(f.EndpointSlices(), slice("shop", "a", "cart", 9090, "10.1.0.1"))
	r := f.build()
	require.EqualValues(t, 9090, target(r), "endpoints know best")
	require.True(t, r.Changed.Config, "a target port is configuration")
	require.Equal(t, []string{"10.1.0.1:9090"}, addresses(r.Parts.Endpoints[cart]))
}

func TestChangesWithoutMeaningWakeNobody(t *testing.T) {
	f := newFixture(t)
	f.add(f.Pods(), pod("shop", "p", "10.1.0.1"))
	first := f.build()
	woken := f.woken

	beat := pod("shop", "p", "10.1.0.1")
	beat.ResourceVersion, beat.Status.Conditions = "2", []corev1.PodCondition{{Type: corev1.PodReady}}
	f.add(f.Pods(), beat)
	written := meshConfig(true)
	written.ResourceVersion, written.Status.ObservedGeneration = "9", 4
	written.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "osm"}}
	f.add(f.State.MeshConfig(), written)
	require.Equal(t, woken, f.woken)
	f.unchanged()

	f.add(f.Pods(), pod("shop", "q", "10.1.0.2"))
	second := f.build()
	require.Contains(t, second.Parts.Pods, first.Parts.Pods[0])
	finished := pod("shop", "q", "10.1.0.2")
	finished.Status.Phase = corev1.PodSucceeded
	f.add(f.Pods(), finished)
	require.Len(t, f.build().Parts.Pods, 1)
}

func TestMeshConfig(t *testing.T) {
	f := newFixture(t)
	f.build()
	elsewhere := meshConfig(false)
	elsewhere.Namespace = "shop"
	f.add(f.State.MeshConfig(), elsewhere)
	f.unchanged()

	require.NoError(t, f.State.MeshConfig().Delete(meshConfig(true)))
	f.unchanged()

	f.add(f.State.MeshConfig(), meshConfig(false))
	r := f.build()
	require.True(t, r.Changed.Config)
	require.False(t, r.Parts.Mesh.Permissive)

	quiet := meshConfig(false)
	quiet.Spec.Observability.OSMLogLevel = "debug"
	f.add(f.State.MeshConfig(), quiet)
	r = f.build()
	require.True(t, r.Changed.IsZero(), "a log level is no configuration of proxies")
	require.Equal(t, "debug", r.Settings.LogLevel)

	checked := meshConfig(false)
	checked.Spec.Observability.OSMLogLevel, checked.Spec.FeatureFlags.EnableEnvoyActiveHealthChecks, checked.Generation = "debug", true, 7
	f.add(f.State.MeshConfig(), checked)
	r = f.build()
	require.EqualValues(t, 7, r.ConfigGeneration)
	require.Len(t, r.Findings, 1)
	require.Equal(t, "NotSupported", r.Findings[0].Reason)

	f.add(f.State.MeshConfig(), unstructuredOf("config.openservicemesh.io/v1alpha2", "MeshConfig", "osm-system", "osm-mesh-config",
		map[string]any{"traffic": "all of it"}))
	r = f.build()
	require.Len(t, r.Findings, 1)
	require.Equal(t, "debug", r.Settings.LogLevel, "the last good one stays in force")
}

func unstructuredOf(apiVersion, kind, ns, name string, spec map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": apiVersion, "kind": kind,
		"metadata": map[string]any{"namespace": ns, "name": name, "resourceVersion": "5", "annotations": map[string]any{
			"kubectl.kubernetes.io/last-applied-configuration": "{}"}},
		"spec": spec, "status": map[string]any{"observedGeneration": int64(3)},
	}}
}

func kind(t *testing.T, name string) policy.Kind {
	for _, k := range policy.Kinds() {
		if k.Name == name {
			return k
		}
	}
	t.Fatalf("no kind %s", name)
	return policy.Kind{}
}

func TestPolicies(t *testing.T) {
	f := newFixture(t)
	sink := f.Policies(kind(t, "TrafficSplit"))
	split := func(ns, name string, weight any) *unstructured.Unstructured {
		return unstructuredOf("split.smi-spec.io/v1alpha2", "TrafficSplit", ns, name, map[string]any{
			"service": "cart", "backends": []any{map[string]any{"service": "cart-v1", "weight": weight}}})
	}
	require.NoError(t, sink.Replace([]any{split("shop", "b", int64(1)), split("shop", "a", int64(1)), split("other", "c", int64(1))}, ""))
	first := f.build()
	list := first.Parts.Policies["TrafficSplit"]
	require.Len(t, list, 2)
	require.Equal(t, "a", list[0].GetName(), "sorted")
	require.Empty(t, list[0].GetAnnotations())
	require.Empty(t, list[0].GetResourceVersion())

	again := split("shop", "a", int64(1))
	again.SetResourceVersion("6")
	f.add(sink, again)
	f.unchanged()

	f.add(sink, split("shop", "a", "a quarter"))
	r := f.build()
	require.Len(t, r.Parts.Policies["TrafficSplit"], 1, "the unreadable object is ignored alone")
	require.Len(t, r.Findings, 1)
	require.Equal(t, snapshot.ObjectRef{Kind: "TrafficSplit", Namespace: "shop", Name: "a"}, r.Findings[0].Object)

	f.add(f.Pods(), pod("shop", "p", "10.1.0.1"))
	next := f.build()
	require.Same(t, &r.Parts.Policies["TrafficSplit"][0], &next.Parts.Policies["TrafficSplit"][0], "policies are shared")
}

func TestUnsynced(t *testing.T) {
	f := newFixture(t)
	require.NotContains(t, f.Unsynced(), "namespaces")
	require.Contains(t, f.Unsynced(), "pods")
	require.Contains(t, f.Unsynced(), "trafficsplits")
	woken := f.woken
	require.NoError(t, f.Pods().Replace(nil, ""))
	require.NotContains(t, f.Unsynced(), "pods")
	require.Equal(t, woken+1, f.woken, "an empty first list wakes the builder too")
	require.True(t, f.HasMeshConfig())
	require.Equal(t, []string{"shop"}, f.MonitoredNamespaces())
}

func TestSinkRefusesOtherTypes(t *testing.T) {
	f := newFixture(t)
	require.ErrorContains(t, f.Pods().Add(namespace("x", "osm")), "unexpected type *v1.Namespace")
}

// The addresses of a service that an IngressBackend has for a source decide who is let in: they are configuration.
func TestAddressesOfIngressSourcesAreConfiguration(t *testing.T) {
	f := newFixture(t)
	f.add(f.Services(), service("shop", "cart", intstr.FromInt32(8080)))
	f.add(f.EndpointSlices(), slice("shop", "s", "cart", 8080, "10.1.0.1"))
	f.build()
	f.add(f.EndpointSlices(), slice("shop", "s", "cart", 8080, "10.1.0.2"))
	require.False(t, f.build().Changed.Config)

	object := &policyv1.IngressBackend{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "i"}, Spec: policyv1.IngressBackendSpec{
		Sources: []policyv1.IngressSource{{Kind: policyv1.SourceKindService, Name: "cart", Namespace: "shop"}}}}
	for _, k := range policy.Kinds() {
		if k.Name == "IngressBackend" {
			f.add(f.Policies(k), object)
		}
	}
	require.True(t, f.build().Changed.Config)
	f.add(f.EndpointSlices(), slice("shop", "s", "cart", 8080, "10.1.0.3"))
	r := f.build()
	require.True(t, r.Changed.Config)
	require.Equal(t, []meshid.ServicePort{cart}, r.Changed.Endpoints)
}
