package pipeline

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/plan"
	"openservicemesh.io/osm/internal/core/snapshot"
)

var config = snapshot.Changed{Config: true}

func service(name string, port uint16) *snapshot.Service {
	return &snapshot.Service{
		ID: meshid.Service{Namespace: "shop", Name: name}, ClusterIPs: []netip.Addr{netip.MustParseAddr("10.0.0.1")},
		Selector: map[string]string{"app": name},
		Ports:    []snapshot.ServicePort{{Name: "http", Port: port, TargetPort: port, Protocol: meshid.HTTP}},
	}
}

func pod(name string) *snapshot.Pod {
	return &snapshot.Pod{
		ID:       meshid.Pod{Namespace: "shop", Name: name, UID: name},
		Identity: meshid.Identity{Namespace: "shop", ServiceAccount: name}, ProxyUUID: name,
		Labels: map[string]string{"app": name}, IPs: []netip.Addr{netip.MustParseAddr("10.1.0.1")},
	}
}

// parts is a mesh of pods and services of the same names.
func parts(generation uint64, addrs ...string) snapshot.Parts {
	p := snapshot.Parts{
		Generation: generation, Mesh: snapshot.Mesh{TrustDomain: "cluster.local", Permissive: true},
		Services: []*snapshot.Service{service("a", 80), service("b", 81)},
		Pods:     []*snapshot.Pod{pod("a"), pod("b")},
	}
	var list []snapshot.Endpoint
	for _, a := range addrs {
		list = append(list, snapshot.Endpoint{Addr: netip.MustParseAddrPort(a)})
	}
	p.Endpoints = snapshot.Endpoints{{Service: p.Services[0].ID, Port: 80}: list}
	return p
}

func apply(t *testing.T, p *Pipeline, parts snapshot.Parts, changed snapshot.Changed) *View {
	t.Helper()
	v, err := p.Apply(snapshot.New(parts), changed)
	require.NoError(t, err)
	require.Equal(t, parts.Generation, v.Generation())
	return v
}

func keyOf(t *testing.T, v *View, name string) plan.Key {
	t.Helper()
	k, ok := v.Place(pod(name).ID)
	require.True(t, ok)
	return k
}

func TestEqualContentKeepsItsPointer(t *testing.T) {
	p := New([]byte("roots"))
	v1 := apply(t, p, parts(1, "10.1.0.1:80"), config)
	a1, b1 := v1.Config(keyOf(t, v1, "a")), v1.Config(keyOf(t, v1, "b"))
	require.Same(t, a1, v1.Config(keyOf(t, v1, "a")), "computed once")
	require.NotSame(t, a1, b1)

	v2 := apply(t, p, parts(2, "10.1.0.1:80"), config)
	require.Same(t, a1, v2.Config(keyOf(t, v2, "a")))
	require.Same(t, v1.Endpoints("shop/a|80"), v2.Endpoints("shop/a|80"))

	// Views that nobody looked at do not break the chain.
	for g := uint64(3); g < 10; g++ {
		apply(t, p, parts(g, "10.1.0.1:80"), config)
	}
	v := apply(t, p, parts(10, "10.1.0.1:80"), config)
	require.Same(t, b1, v.Config(keyOf(t, v, "b")))

	changed := parts(11, "10.1.0.1:80")
	changed.Mesh.Egress = true
	v = apply(t, p, changed, config)
	require.NotSame(t, b1, v.Config(keyOf(t, v, "b")))
	require.NotEqual(t, b1.Version, v.Config(keyOf(t, v, "b")).Version)
}

func TestResultsThatNobodyAsksForAreDropped(t *testing.T) {
	p := New(nil)
	v := apply(t, p, parts(1), config)
	v.Config(keyOf(t, v, "a"))
	for g := uint64(2); g <= maxIdle+2; g++ {
		v = apply(t, p, parts(g), config)
		require.Len(t, v.configs.before, 1, g)
	}
	v = apply(t, p, parts(99), config)
	require.Empty(t, v.configs.before)
}

func TestEndpointsAloneReplanNothing(t *testing.T) {
	p := New([]byte("roots"))
	v1 := apply(t, p, parts(1, "10.1.0.1:80"), config)
	a1 := v1.Config(keyOf(t, v1, "a"))
	port := meshid.ServicePort{Service: service("a", 80).ID, Port: 80}

	v2 := apply(t, p, parts(2, "10.1.0.1:80", "10.1.0.2:80"), snapshot.Changed{Endpoints: []meshid.ServicePort{port}})
	require.Same(t, v1.planner, v2.planner)
	require.Same(t, v1.configs, v2.configs)
	require.Same(t, a1, v2.Config(keyOf(t, v2, "a")))
	require.NotEqual(t, v1.Endpoints("shop/a|80").Version, v2.Endpoints("shop/a|80").Version)
	require.Same(t, v1.Endpoints("shop/b|81"), v2.Endpoints("shop/b|81"))
	require.NotNil(t, v2.Endpoints("shop/b|81"), "no addresses is an answer too")
	require.Nil(t, v2.Endpoints("shop/c|80"))

	v3 := apply(t, p, parts(3, "10.1.0.1:80"), snapshot.Changed{Endpoints: []meshid.ServicePort{port}})
	require.Equal(t, v1.Endpoints("shop/a|80").Version, v3.Endpoints("shop/a|80").Version)
}

// TestTwinsHaveEndpointsOfTheirOwn: Envoy asks once for the endpoints of a name, so a second cluster may not share it.
func TestTwinsHaveEndpointsOfTheirOwn(t *testing.T) {
	undeclared := func(g uint64, addrs ...string) snapshot.Parts {
		out := parts(g, addrs...)
		out.Services[0].Ports[0].Undeclared = true
		return out
	}
	p := New([]byte("roots"))
	v1 := apply(t, p, undeclared(1, "10.1.0.1:80"), config)
	require.Equal(t, "shop/a|80|tcp", v1.Endpoints("shop/a|80|tcp").Name)
	port := meshid.ServicePort{Service: service("a", 80).ID, Port: 80}
	v2 := apply(t, p, undeclared(2, "10.1.0.1:80", "10.1.0.2:80"), snapshot.Changed{Endpoints: []meshid.ServicePort{port}})
	require.NotEqual(t, v1.Endpoints("shop/a|80|tcp").Version, v2.Endpoints("shop/a|80|tcp").Version)
	require.Nil(t, v2.Endpoints("shop/b|81|tcp"))
}

func TestSetRootsChangesSecretsAlone(t *testing.T) {
	p := New([]byte("old"))
	require.Nil(t, p.SetRoots([]byte("older")), "no view yet")
	require.Nil(t, p.SetRoots([]byte("old")))
	v1 := apply(t, p, parts(1, "10.1.0.1:80"), config)
	require.Nil(t, p.SetRoots([]byte("old")), "the bundle in force")
	key := keyOf(t, v1, "a")
	before := v1.Config(key)

	v2 := p.SetRoots([]byte("new"))
	require.NotNil(t, v2)
	require.Equal(t, v1.Generation(), v2.Generation())
	after := v2.Config(key)
	for _, typ := range envoy.Types() {
		require.Equal(t, len(before.List(typ)), len(after.List(typ)))
		for i, r := range before.List(typ) {
			if typ == envoy.Secret {
				require.NotEqual(t, r.Version, after.List(typ)[i].Version, r.Name)
			} else {
				require.Equal(t, r.Version, after.List(typ)[i].Version, r.Name)
			}
		}
	}
	require.NotEmpty(t, after.List(envoy.Secret))
	require.Same(t, v1.Endpoints("shop/a|80"), v2.Endpoints("shop/a|80"))
	require.Same(t, before, v1.Config(key), "a view does not change")

	v3 := apply(t, p, parts(2, "10.1.0.1:80"), config)
	require.Same(t, after, v3.Config(key), "the next snapshot carries the new bundle")
}

func TestPlace(t *testing.T) {
	p := New(nil)
	early := parts(1)
	early.Services = nil
	v := apply(t, p, early, config)
	_, ok := v.Place(meshid.Pod{Namespace: "shop", Name: "a", UID: "another incarnation"})
	require.False(t, ok)
	lonely := keyOf(t, v, "a")
	require.Empty(t, lonely.Services())
	require.Nil(t, v.Config(lonely).Get(envoy.Listener, names.ListenerInbound))

	// A service made after its pod gives the pod another key.
	v = apply(t, p, parts(2), config)
	key := keyOf(t, v, "a")
	require.NotEqual(t, lonely, key)
	require.Equal(t, []meshid.Service{{Namespace: "shop", Name: "a"}}, key.Services())
	require.NotNil(t, v.Config(key).Get(envoy.Listener, names.ListenerInbound))
}

// TestReferences: whatever a resource names is among the resources, the endpoints, or is the workload's certificate.
func TestReferences(t *testing.T) {
	v := apply(t, New([]byte("roots")), parts(1, "10.1.0.1:80"), config)
	key := keyOf(t, v, "a")
	set := v.Config(key)
	for _, typ := range envoy.Types() {
		for _, r := range set.List(typ) {
			for _, ref := range r.Refs {
				switch {
				case ref.Type == envoy.Endpoint:
					require.NotNil(t, v.Endpoints(ref.Name), "%s names %s", r.Name, ref.Name)
				case ref.Name == names.SecretServiceCert(key.Identity):
				default:
					require.NotNil(t, set.Get(ref.Type, ref.Name), "%s names %s", r.Name, ref.Name)
				}
			}
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	p := New([]byte("roots"))
	v := apply(t, p, parts(1, "10.1.0.1:80"), config)
	views := []*View{v}
	var mu sync.Mutex
	newest := func() *View { mu.Lock(); defer mu.Unlock(); return views[len(views)-1] }
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				v := newest()
				for _, name := range []string{"a", "b"} {
					k, ok := v.Place(pod(name).ID)
					if !ok || v.Config(k) == nil || v.Endpoints("shop/a|80") == nil {
						t.Error("a view is incomplete")
						return
					}
					if first, second := v.Config(k), v.Config(k); first != second {
						t.Error("a view answers in two ways")
					}
				}
			}
		})
	}
	for g := uint64(2); g < 60; g++ {
		var next *View
		switch g % 3 {
		case 0:
			next = apply(t, p, parts(g, fmt.Sprintf("10.1.0.%d:80", g)), config)
		case 1:
			next = apply(t, p, parts(g, fmt.Sprintf("10.1.0.%d:80", g)), snapshot.Changed{Endpoints: []meshid.ServicePort{{Service: service("a", 80).ID, Port: 80}}})
		default:
			next = p.SetRoots(fmt.Appendf(nil, "roots %d", g))
		}
		mu.Lock()
		views = append(views, next)
		mu.Unlock()
	}
	wg.Wait()
	require.False(t, slices.Contains(views, nil))
}
