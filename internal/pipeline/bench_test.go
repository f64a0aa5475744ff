package pipeline

import (
	"fmt"
	"net/netip"
	"testing"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/plan"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// meshOf is a permissive mesh: each service has an identity of its own and pods/services pods with one endpoint each.
func meshOf(services, pods int) snapshot.Parts {
	p := snapshot.Parts{Generation: 1, Mesh: snapshot.Mesh{TrustDomain: "cluster.local", Permissive: true}, Endpoints: snapshot.Endpoints{}}
	for s := range services {
		ns, name := fmt.Sprint("ns", s/10), fmt.Sprint("app-", s)
		id := meshid.Service{Namespace: ns, Name: name}
		p.Services = append(p.Services, &snapshot.Service{
			ID: id, ClusterIPs: []netip.Addr{netip.AddrFrom4([4]byte{10, 96, byte(s / 250), byte(1 + s%250)})}, Selector: map[string]string{"app": name},
			Ports: []snapshot.ServicePort{{Name: "http", Port: 8080, TargetPort: 8080, Protocol: meshid.HTTP}},
		})
		port := meshid.ServicePort{Service: id, Port: 8080}
		for n := s; n < pods; n += services {
			addr := netip.AddrFrom4([4]byte{10, byte(1 + n/62500), byte(n / 250 % 250), byte(1 + n%250)})
			pod := &snapshot.Pod{
				ID:       meshid.Pod{Namespace: ns, Name: fmt.Sprint("pod-", n), UID: fmt.Sprint(n)},
				Identity: meshid.Identity{Namespace: ns, ServiceAccount: name}, ProxyUUID: fmt.Sprint(n),
				Labels: map[string]string{"app": name}, IPs: []netip.Addr{addr},
			}
			p.Pods = append(p.Pods, pod)
			p.Endpoints[port] = append(p.Endpoints[port], snapshot.Endpoint{Addr: netip.AddrPortFrom(addr, 8080), Pod: pod.ID})
		}
	}
	return p
}

var sizes = []struct{ services, pods int }{{10, 100}, {100, 1000}, {1000, 5000}}

func each(b *testing.B, run func(b *testing.B, p snapshot.Parts)) {
	for _, z := range sizes {
		b.Run(fmt.Sprintf("services=%d/pods=%d", z.services, z.pods), func(b *testing.B) {
			b.ReportAllocs()
			run(b, meshOf(z.services, z.pods))
		})
	}
}

// BenchmarkSnapshot is what a change of configuration pays before any plan.
func BenchmarkSnapshot(b *testing.B) {
	each(b, func(b *testing.B, p snapshot.Parts) {
		for b.Loop() {
			snapshot.New(p)
		}
	})
}

// BenchmarkEndpoint is a change of one service's endpoints, from the snapshot before to the view.
func BenchmarkEndpoint(b *testing.B) {
	each(b, func(b *testing.B, p snapshot.Parts) {
		pipe, snap := New(nil), snapshot.New(p)
		if _, err := pipe.Apply(snap, snapshot.Changed{Config: true}); err != nil {
			b.Fatal(err)
		}
		port := meshid.ServicePort{Service: p.Services[0].ID, Port: 8080}
		whole, gone := p.Endpoints, snapshot.Endpoints{}
		for k, v := range whole {
			gone[k] = v
		}
		gone[port] = whole[port][1:]
		for n := uint64(2); b.Loop(); n++ {
			next := whole
			if n%2 == 0 {
				next = gone
			}
			snap = snap.WithEndpoints(n, next)
			if _, err := pipe.Apply(snap, snapshot.Changed{Endpoints: []meshid.ServicePort{port}}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func keyAndView(b *testing.B, p snapshot.Parts) (plan.Key, *View) {
	v, err := New(nil).Apply(snapshot.New(p), snapshot.Changed{Config: true})
	if err != nil {
		b.Fatal(err)
	}
	key, _ := v.Place(p.Pods[0].ID)
	return key, v
}

// BenchmarkPlan is the plan of one key.
func BenchmarkPlan(b *testing.B) {
	each(b, func(b *testing.B, p snapshot.Parts) {
		key, v := keyAndView(b, p)
		for b.Loop() {
			v.Planner().Plan(key)
		}
	})
}

// BenchmarkTranslate encodes the plan of one key.
func BenchmarkTranslate(b *testing.B) {
	each(b, func(b *testing.B, p snapshot.Parts) {
		key, v := keyAndView(b, p)
		proxy := v.Planner().Plan(key)
		for b.Loop() {
			if _, err := envoy.Translate(proxy, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}
