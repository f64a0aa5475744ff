package state

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// objects is what a cluster holds at one time, by resource and key.
type objects map[string]map[Key]any

func sinks(s *State) map[string]*Sink {
	return map[string]*Sink{"namespaces": s.Namespaces(), "services": s.Services(), "pods": s.Pods(), "slices": s.EndpointSlices()}
}

// draw makes one random object of a resource; few names, so that objects meet.
func draw(t *rapid.T, resource string) any {
	ns := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "ns")
	n := rapid.IntRange(0, 2).Draw(t, "n")
	svc := rapid.SampledFrom([]string{"cart", "desk"}).Draw(t, "svc")
	switch resource {
	case "namespaces":
		return namespace(ns, rapid.SampledFrom([]string{"osm", "other"}).Draw(t, "mesh"))
	case "services":
		target := rapid.SampledFrom([]intstr.IntOrString{intstr.FromInt32(8080), intstr.FromString("named")}).Draw(t, "target")
		s := service(ns, svc, target)
		switch n {
		case 1:
			s.Spec.ClusterIP = corev1.ClusterIPNone
		case 2:
			s.Spec.Selector = nil
		}
		return s
	case "pods":
		p := pod(ns, fmt.Sprint("p", n), fmt.Sprintf("10.1.0.%d", n))
		if rapid.Bool().Draw(t, "finished") {
			p.Status.Phase = corev1.PodSucceeded
		}
		p.Spec.Containers[0].Ports[0].ContainerPort = int32(7000 + rapid.IntRange(0, 1).Draw(t, "port"))
		return p
	}
	ips := rapid.SliceOfN(rapid.SampledFrom([]string{"10.1.0.0", "10.1.0.1", "10.1.0.2"}), 0, 3).Draw(t, "ips")
	return slice(ns, fmt.Sprint("s", n), svc, int32(rapid.IntRange(9000, 9001).Draw(t, "port")), ips...)
}

// fresh builds from scratch.
func fresh(t *rapid.T, now objects) Result {
	s := New(Options{MeshName: "osm", OSMNamespace: "osm-system", TrustDomain: "td"}, func() {})
	if err := s.MeshConfig().Add(meshConfig(true)); err != nil {
		t.Fatal(err)
	}
	for resource, sink := range sinks(s) {
		for _, o := range now[resource] {
			if err := sink.Add(o); err != nil {
				t.Fatal(err)
			}
		}
	}
	r, _ := s.Build()
	return r
}

var comparers = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
}

// Whatever happens in whatever order, a build equals one from scratch, and Changed names exactly what differs.
func TestIncrementalBuildsEqualFreshOnes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New(Options{MeshName: "osm", OSMNamespace: "osm-system", TrustDomain: "td"}, func() {})
		if err := s.MeshConfig().Add(meshConfig(true)); err != nil {
			t.Fatal(err)
		}
		now := objects{"namespaces": {}, "services": {}, "pods": {}, "slices": {}}
		var last snapshot.Parts
		built := false
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			for range rapid.IntRange(1, 3).Draw(t, "burst") {
				step(t, s, now)
			}
			r, changed := s.Build()
			want := fresh(t, now)
			if !changed {
				r.Parts = last
			}
			sortPods(r.Parts.Pods)
			sortPods(want.Parts.Pods)
			if diff := cmp.Diff(want.Parts, r.Parts, comparers); diff != "" {
				t.Fatalf("incremental build differs (-fresh +incremental):\n%s", diff)
			}
			if built {
				checkChanged(t, last, r.Parts, r.Changed)
			}
			last, built = r.Parts, true
		}
	})
}

func step(t *rapid.T, s *State, now objects) {
	resource := rapid.SampledFrom([]string{"namespaces", "services", "pods", "slices"}).Draw(t, "resource")
	o := draw(t, resource)
	k, err := keyOf(o)
	if err != nil {
		t.Fatal(err)
	}
	sink := sinks(s)[resource]
	switch rapid.SampledFrom([]string{"put", "put", "delete", "replace"}).Draw(t, "op") {
	case "put":
		now[resource][k] = o
		err = sink.Update(o)
	case "delete":
		delete(now[resource], k)
		err = sink.Delete(o)
	case "replace":
		now[resource] = map[Key]any{k: o}
		err = sink.Replace([]any{o}, "")
	}
	if err != nil {
		t.Fatal(err)
	}
}

func sortPods(pods []*snapshot.Pod) {
	slices.SortFunc(pods, func(a, b *snapshot.Pod) int {
		return meshid.Identity{Namespace: a.ID.Namespace, ServiceAccount: a.ID.Name}.Compare(meshid.Identity{Namespace: b.ID.Namespace, ServiceAccount: b.ID.Name})
	})
}

func checkChanged(t *rapid.T, before, after snapshot.Parts, c snapshot.Changed) {
	var moved []meshid.ServicePort
	for _, m := range []snapshot.Endpoints{before.Endpoints, after.Endpoints} {
		for k := range m {
			if !slices.Equal(before.Endpoints[k], after.Endpoints[k]) {
				moved = append(moved, k)
			}
		}
	}
	slices.SortFunc(moved, meshid.ServicePort.Compare)
	if moved = slices.Compact(moved); !slices.Equal(moved, c.Endpoints) {
		t.Fatalf("Changed.Endpoints is %v; what differs is %v", c.Endpoints, moved)
	}
	if !c.Config && (!reflect.DeepEqual(before.Services, after.Services) || !reflect.DeepEqual(before.Pods, after.Pods)) {
		t.Fatal("services or pods differ, and Changed does not say so")
	}
	for _, svc := range after.Services {
		i := slices.IndexFunc(before.Services, func(b *snapshot.Service) bool { return b.ID == svc.ID })
		if i >= 0 && before.Services[i] != svc && reflect.DeepEqual(before.Services[i], svc) {
			t.Fatalf("%s did not change but is not shared", svc.ID)
		}
	}
}
