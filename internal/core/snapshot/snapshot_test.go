package snapshot

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/core/meshid"
)

func id(ns, sa string) meshid.Identity { return meshid.Identity{Namespace: ns, ServiceAccount: sa} }

func testPod(ns, name, sa string, labels map[string]string) *Pod {
	return &Pod{ID: meshid.Pod{Namespace: ns, Name: name, UID: ns + name}, Identity: id(ns, sa), Labels: labels}
}

func TestIndexes(t *testing.T) {
	web := &Service{ID: meshid.Service{Namespace: "b", Name: "web"}, Selector: map[string]string{"app": "web"}}
	all := &Service{ID: meshid.Service{Namespace: "a", Name: "all"}, Selector: map[string]string{"app": "web", "tier": "1"}}
	own := &Service{ID: meshid.Service{Namespace: "b", Name: "own"}, Ports: []ServicePort{{Port: 80}, {Port: 81}}}
	p1, p2 := testPod("b", "p1", "z", map[string]string{"app": "web", "x": "y"}), testPod("b", "p2", "a", map[string]string{"app": "web"})
	p3, other := testPod("b", "p3", "z", map[string]string{"app": "web"}), testPod("a", "p1", "a", map[string]string{"app": "web"})
	at := func(pod *Pod, port string) Endpoint {
		return Endpoint{Addr: netip.MustParseAddrPort("10.0.0.1:" + port), Pod: pod.ID}
	}
	s := New(Parts{
		Generation: 7, Services: []*Service{web, own, all}, Pods: []*Pod{p3, p2, other, p1},
		Endpoints: Endpoints{
			{Service: own.ID, Port: 80}: {at(p2, "80"), at(other, "80"), {Addr: netip.MustParseAddrPort("192.0.2.1:80")}},
			{Service: own.ID, Port: 81}: {at(p2, "81"), at(testPod("b", "gone", "q", nil), "81")},
		},
	})
	require.Equal(t, []*Service{all, own, web}, s.Services)
	require.Equal(t, []*Pod{other, p1, p2, p3}, s.Pods)
	require.Same(t, web, s.Service(web.ID))
	require.Nil(t, s.Service(meshid.Service{Namespace: "b", Name: "nope"}))
	require.Same(t, p1, s.Pod(p1.ID))
	require.Nil(t, s.Pod(meshid.Pod{Namespace: "b", Name: "p1", UID: "another"}))

	require.Equal(t, []meshid.Identity{id("b", "a"), id("b", "z")}, s.Backing(web.ID), "sorted, once each, of the service's namespace")
	require.Equal(t, []meshid.Identity{id("b", "a")}, s.Backing(own.ID), "without selector: the pods of its namespace that endpoints name")
	require.Empty(t, s.Backing(all.ID))
	require.Equal(t, []meshid.Service{own.ID, web.ID}, s.ServicesOf(p2.ID))
	require.Equal(t, []meshid.Service{web.ID}, s.ServicesOf(p1.ID))
	require.Empty(t, s.ServicesOf(other.ID))
}

func TestAnEmptySelectorSelectsNothing(t *testing.T) {
	svc := &Service{ID: meshid.Service{Namespace: "a", Name: "s"}, Selector: map[string]string{}}
	s := New(Parts{Services: []*Service{svc}, Pods: []*Pod{testPod("a", "p", "sa", nil)}})
	require.Empty(t, s.Backing(svc.ID))
}

func TestSortFindings(t *testing.T) {
	f := func(kind, ns, name, reason string) Finding {
		return Finding{Object: ObjectRef{kind, ns, name}, Reason: reason, Severity: Error}
	}
	got := SortFindings([]Finding{f("B", "a", "a", "x"), f("A", "b", "a", "x"), f("A", "a", "b", "x"), f("A", "a", "a", "y"), f("A", "a", "a", "x"), f("A", "a", "b", "x")})
	require.Equal(t, []Finding{f("A", "a", "a", "x"), f("A", "a", "a", "y"), f("A", "a", "b", "x"), f("A", "b", "a", "x"), f("B", "a", "a", "x")}, got)
	require.Equal(t, "A a/b", got[2].Object.String())
}

func TestChanged(t *testing.T) {
	require.True(t, Changed{}.IsZero())
	require.False(t, Changed{Config: true}.IsZero())
	require.False(t, Changed{Endpoints: []meshid.ServicePort{{}}}.IsZero())
}
