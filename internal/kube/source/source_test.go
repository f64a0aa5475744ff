package source

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"

	configv1alpha2 "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/policy"
	"openservicemesh.io/osm/internal/kube/kubeapi/clientset"
)

// world is a fake API server and a Source that watches it.
type world struct {
	t       *testing.T
	kube    *fake.Clientset
	dynamic *dynamicfake.FakeDynamicClient
	source  *Source
	updates chan Update
}

func newWorld(t *testing.T, crds bool) *world {
	w := &world{t: t, kube: fake.NewSimpleClientset(), updates: make(chan Update, 1000)}
	lists := map[schema.GroupVersionResource]string{configv1alpha2.MeshConfigs: "MeshConfigList"}
	for _, k := range policy.Kinds() {
		lists[k.Resource] = k.Name + "List"
	}
	w.dynamic = dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), lists)
	if crds {
		w.installCRDs(lists)
	}
	w.source = New(Options{Kube: clientset.Of(w.kube), Dynamic: w.dynamic, MeshName: "osm", OSMNamespace: "osm-system", TrustDomain: "td"})
	return w
}

func (w *world) installCRDs(lists map[schema.GroupVersionResource]string) {
	byGroup := map[string]*metav1.APIResourceList{}
	for r := range lists {
		gv := r.GroupVersion().String()
		if byGroup[gv] == nil {
			byGroup[gv] = &metav1.APIResourceList{GroupVersion: gv}
			w.kube.Resources = append(w.kube.Resources, byGroup[gv])
		}
		byGroup[gv].APIResources = append(byGroup[gv].APIResources, metav1.APIResource{Name: r.Resource})
	}
}

// start runs the source until the test ends and then looks for leaked goroutines.
func (w *world) start() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.source.Run(ctx, func(u Update) { w.updates <- u })
	}()
	w.t.Cleanup(func() {
		cancel()
		<-done
		goleak.VerifyNone(w.t, goleak.IgnoreTopFunction("k8s.io/klog/v2.(*flushDaemon).run.func1"))
	})
}

// await returns the first update that satisfies ok, and how many updates it took.
func (w *world) await(ok func(Update) bool) (Update, int) {
	w.t.Helper()
	deadline := time.After(10 * time.Second)
	for n := 1; ; n++ {
		select {
		case u := <-w.updates:
			if ok(u) {
				return u, n
			}
		case <-deadline:
			w.t.Fatal("no such update; " + w.source.Waiting())
		}
	}
}

func (w *world) meshConfig(permissive bool) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "config.openservicemesh.io/v1alpha2", "kind": "MeshConfig",
		"metadata": map[string]any{"namespace": "osm-system", "name": "osm-mesh-config"},
		"spec":     map[string]any{"traffic": map[string]any{"enablePermissiveTrafficPolicyMode": permissive}},
	}}
}

func (w *world) createMeshConfig(permissive bool) {
	w.t.Helper()
	_, err := w.dynamic.Resource(configv1alpha2.MeshConfigs).Namespace("osm-system").Create(w.t.Context(), w.meshConfig(permissive), metav1.CreateOptions{})
	require.NoError(w.t, err)
}

func (w *world) createPod(i int) {
	w.t.Helper()
	_, err := w.kube.CoreV1().Pods("shop").Create(w.t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprintf("p%03d", i)}}, metav1.CreateOptions{})
	require.NoError(w.t, err)
}

func (w *world) createBase() {
	w.t.Helper()
	ctx := w.t.Context()
	_, err := w.kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: "shop", Labels: map[string]string{"openservicemesh.io/monitored-by": "osm"}}}, metav1.CreateOptions{})
	require.NoError(w.t, err)
	_, err = w.kube.CoreV1().Services("shop").Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart"},
		Spec:       corev1.ServiceSpec{ClusterIP: "10.0.0.1", Selector: map[string]string{"app": "cart"}, Ports: []corev1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{})
	require.NoError(w.t, err)
}

func TestFirstSnapshotIsWhole(t *testing.T) {
	w := newWorld(t, true)
	w.createBase()
	w.createMeshConfig(true)
	for i := range 20 {
		w.createPod(i)
	}
	w.start()
	u, n := w.await(func(Update) bool { return true })
	require.Equal(t, 1, n)
	require.EqualValues(t, 1, u.Snapshot.Generation)
	require.Len(t, u.Snapshot.Pods, 20)
	require.Len(t, u.Snapshot.Services, 1)
	require.True(t, u.Snapshot.Mesh.Permissive)
	require.True(t, w.source.Ready())
	require.Empty(t, w.source.Waiting())
}

func TestWaitsForCRDsAndMeshConfig(t *testing.T) {
	w := newWorld(t, false)
	w.createBase()
	w.start()
	require.Eventually(t, func() bool { return len(w.kube.Actions()) > 8 }, 5*time.Second, time.Millisecond)
	require.False(t, w.source.Ready())
	require.Contains(t, w.source.Waiting(), "traffictargets")
	require.Empty(t, w.updates)
}

func TestWaitsForMeshConfig(t *testing.T) {
	w := newWorld(t, true)
	w.createBase()
	w.start()
	require.Eventually(t, func() bool {
		return w.source.Waiting() == "waiting for MeshConfig osm-system/osm-mesh-config, which osm-bootstrap creates"
	}, 5*time.Second, time.Millisecond)
	require.False(t, w.source.Ready())
	w.createMeshConfig(false)
	u, _ := w.await(func(Update) bool { return true })
	require.False(t, u.Snapshot.Mesh.Permissive)
}

func TestBurstIsGathered(t *testing.T) {
	w := newWorld(t, true)
	w.createBase()
	w.createMeshConfig(true)
	w.start()
	w.await(func(Update) bool { return true })
	const pods = 80 // a fake watch holds 100 events
	for i := range pods {
		w.createPod(i)
	}
	u, n := w.await(func(u Update) bool { return len(u.Snapshot.Pods) == pods })
	require.Less(t, n, pods/4, "a burst of %d changes is gathered into few snapshots", pods)
	require.EqualValues(t, 1+n, u.Snapshot.Generation, "every delivery is one generation")
}

func TestSingleChangeIsNotDelayed(t *testing.T) {
	w := newWorld(t, true)
	w.createBase()
	w.createMeshConfig(true)
	w.start()
	w.await(func(Update) bool { return true })
	best := time.Hour
	for i := range 5 {
		time.Sleep(3 * quietPeriod) // let the quiet period pass, so that the next change is a first one
		start := time.Now()
		w.createPod(i)
		w.await(func(u Update) bool { return len(u.Snapshot.Pods) == i+1 })
		best = min(best, time.Since(start))
	}
	require.Less(t, best, quietPeriod, "a first change does not wait for the quiet period")
}

func TestEndpointsLaneAndModeSwitch(t *testing.T) {
	w := newWorld(t, true)
	w.createBase()
	w.createMeshConfig(true)
	w.start()
	first, _ := w.await(func(Update) bool { return true })

	port := int32(8080)
	_, err := w.kube.DiscoveryV1().EndpointSlices("shop").Create(t.Context(), &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "shop", Name: "cart-1", Labels: map[string]string{"kubernetes.io/service-name": "cart"}},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Port: &port}},
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.1.0.1"}}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	cart := meshid.ServicePort{Service: meshid.Service{Namespace: "shop", Name: "cart"}, Port: 80}
	u, _ := w.await(func(u Update) bool { return len(u.Snapshot.Endpoints[cart]) == 1 })
	require.False(t, u.Changed.Config)
	require.Equal(t, []meshid.ServicePort{cart}, u.Changed.Endpoints)
	require.Same(t, first.Snapshot.Services[0], u.Snapshot.Services[0])

	_, err = w.dynamic.Resource(configv1alpha2.MeshConfigs).Namespace("osm-system").Update(t.Context(), w.meshConfig(false), metav1.UpdateOptions{})
	require.NoError(t, err)
	u, _ = w.await(func(u Update) bool { return !u.Snapshot.Mesh.Permissive })
	require.True(t, u.Changed.Config)
}

func TestEventsAreCounted(t *testing.T) {
	w := newWorld(t, true)
	seen := make(chan string, 1000)
	w.source = New(Options{Kube: clientset.Of(w.kube), Dynamic: w.dynamic, MeshName: "osm", OSMNamespace: "osm-system",
		OnEvent: func(event, ns string) { seen <- event + " " + ns }})
	w.createBase()
	w.createMeshConfig(true)
	w.start()
	w.await(func(Update) bool { return true })
	w.createPod(1)
	require.NoError(t, w.kube.CoreV1().Pods("shop").Delete(t.Context(), "p001", metav1.DeleteOptions{}))
	require.Eventually(t, func() bool {
		for len(seen) > 0 {
			if <-seen == "delete shop" {
				return true
			}
		}
		return false
	}, 5*time.Second, time.Millisecond)
}

// Changes wait until a snapshot is begun, and for no longer.
func TestChangesWaitForTheNextSnapshot(t *testing.T) {
	w := newWorld(t, true)
	require.Zero(t, w.source.Queued())
	for range 3 {
		w.source.wake()
	}
	require.Equal(t, 3, w.source.Queued())
	w.createBase()
	w.createMeshConfig(true)
	w.start()
	w.await(func(Update) bool { return true })
	require.Eventually(t, func() bool { return w.source.Queued() == 0 }, 5*time.Second, time.Millisecond)
}
