package pipeline

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	access "openservicemesh.io/osm/api/smi/access/v1alpha3"
	specs "openservicemesh.io/osm/api/smi/specs/v1alpha4"
	split "openservicemesh.io/osm/api/smi/split/v1alpha2"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/plan"
	"openservicemesh.io/osm/internal/core/sim"
	"openservicemesh.io/osm/internal/core/snapshot"
	"openservicemesh.io/osm/internal/pipeline"
)

// TestPolicyMeansWhatItSays draws policies at random, among them many that are wrong, in both modes and with splits, and
// compares what the generated resources (routes, rules about connections and about requests) let through, and to whom, with
// what the policy says.
func TestPolicyMeansWhatItSays(t *testing.T) {
	evaluations, moved, permissive, ends := 0, 0, 0, map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		for range 3 {
			p := drawPolicies(t)
			p.Permissive, p.Splits = pick(t, false, false, false, false, true), drawSplits(t)
			m := newModelMesh(p)
			for range 40 {
				c := drawCall(t)
				if c.req == nil && c.port == undeclaredPort && p.splitOf(c.to) != nil {
					continue // bytes of such a port follow rules of their own, which cases show
				}
				evaluations++
				got, want, leaf := m.outcome(c), p.judge(c), p.leaf(c)
				ends[want]++
				if leaf != c.to {
					moved++
				}
				if p.Permissive {
					permissive++
				}
				if got.String() != want {
					t.Fatalf("%s → %s:%d %+v ends %q, the policy says %q: %s", c.from, c.to, c.port, c.req, got, want, got.By)
				}
				if at := fmt.Sprintf("shop/%s|%d", leaf, c.port); got.Cluster != "" && strings.TrimSuffix(got.Cluster, "|tcp") != at {
					t.Fatalf("%s → %s:%d %+v goes to %s, the policy says %s", c.from, c.to, c.port, c.req, got.Cluster, at)
				}
			}
		}
	})
	require.GreaterOrEqual(t, evaluations, 10_000)
	require.Greater(t, moved, 500, "few calls are split")
	require.Greater(t, permissive, 1000)
	for _, end := range []string{"refused", "reset", "connected", "answered 200", "answered 403", "answered 404", "answered 503"} {
		require.Greater(t, ends[end], 15, "the drawn policies show too little: %v", ends)
	}
}

// TestNoObjectOpensAccessByBeingWrong: what grants nothing by itself changes nothing, whether it is there or not; and
// taking any object away admits nobody who was not admitted with it.
func TestNoObjectOpensAccessByBeingWrong(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPolicies(t)
		before := newModelMesh(p)
		var calls []modelCall
		for range 20 {
			calls = append(calls, drawCall(t))
		}
		without := func(what string, q policySet, same bool) {
			after := newModelMesh(q)
			for _, c := range calls {
				was, is := before.end(c), after.end(c)
				if same && was != is {
					t.Fatalf("without %s, which grants nothing, %s → %s:%d %+v ends %q, with it %q", what, c.from, c.to, c.port, c.req, is, was)
				}
				if admitted(is) && !admitted(was) {
					t.Fatalf("without %s, %s → %s:%d %+v is admitted", what, c.from, c.to, c.port, c.req)
				}
			}
		}
		for i, o := range p.Targets {
			q := p
			q.Targets = slices.Delete(slices.Clone(p.Targets), i, i+1)
			without("TrafficTarget "+o.Name, q, !p.grants(o))
		}
		for i, o := range p.Groups {
			q := p
			q.Groups = slices.Delete(slices.Clone(p.Groups), i, i+1)
			without("HTTPRouteGroup "+o.Name, q, !slices.ContainsFunc(o.Spec.Matches, understood))
		}
		for i, o := range p.Routes {
			q := p
			q.Routes = slices.Delete(slices.Clone(p.Routes), i, i+1)
			without("TCPRoute "+o.Name, q, false)
		}
	})
}

func admitted(end string) bool { return end == "answered 200" || end == "connected" }

var (
	modelSources      = []meshid.Identity{{Namespace: "client", ServiceAccount: "a"}, {Namespace: "client", ServiceAccount: "a.b"}, {Namespace: "shop", ServiceAccount: "a"}}
	modelDestinations = []meshid.Identity{{Namespace: "shop", ServiceAccount: "x"}, {Namespace: "shop", ServiceAccount: "y"}}
	modelPorts        = []uint16{8080, 7001, 7002, undeclaredPort} // the first takes requests
)

// modelServices are the services of shop, sorted: one for each destination, and one that is only a name.
var modelServices = []string{modelRoot, "x", "y"}

const modelRoot = "root"

func drawSplits(t *rapid.T) []*split.TrafficSplit {
	var out []*split.TrafficSplit
	for i := range rapid.IntRange(0, 3).Draw(t, "splits") {
		o := &split.TrafficSplit{ObjectMeta: metav1.ObjectMeta{Namespace: usually(t, "shop", "client"), Name: fmt.Sprintf("s%d", i)}}
		o.Spec.Service = usually(t, pick(t, modelRoot, modelRoot, "x"), "nope") + usually(t, pick(t, "", ".shop", ".shop.svc.cluster.local"), ".client")
		for range usually(t, pick(t, 1, 2, 2, 3), 0) {
			o.Spec.Backends = append(o.Spec.Backends,
				split.TrafficSplitBackend{Service: usually(t, pick(t, "x", "y", "y", modelRoot), "nope"), Weight: usually(t, pick(t, 0, 1, 2, 3), -1)})
		}
		for range pick(t, 0, 0, 1, 2) {
			o.Spec.Matches = append(o.Spec.Matches, split.TrafficSplitMatch{Kind: usually(t, "HTTPRouteGroup", "TCPRoute"), Name: usually(t, pick(t, "g0", "g1"), "nope")})
		}
		out = append(out, o)
	}
	return out
}

// undeclaredPort says nothing about what it takes.
const undeclaredPort = 6379

// drawPolicies draws mostly what is right: a policy of nothing but mistakes shows little.
func drawPolicies(t *rapid.T) policySet {
	var p policySet
	for i := range 3 {
		g := &specs.HTTPRouteGroup{ObjectMeta: metav1.ObjectMeta{Namespace: usually(t, "shop", "client"), Name: fmt.Sprintf("g%d", i)}}
		for j := range rapid.IntRange(1, 3).Draw(t, "matches") {
			g.Spec.Matches = append(g.Spec.Matches, drawMatch(t, fmt.Sprintf("m%d", j)))
		}
		p.Groups = append(p.Groups, g)
	}
	for i := range 2 {
		r := &specs.TCPRoute{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprintf("t%d", i)}}
		for range rapid.IntRange(0, 2).Draw(t, "ports") {
			r.Spec.Matches.Ports = append(r.Spec.Matches.Ports, usually(t, pick(t, 8080, 7001, 7002, undeclaredPort), pick(t, 0, 70000)))
		}
		p.Routes = append(p.Routes, r)
	}
	for i := range rapid.IntRange(2, 10).Draw(t, "targets") {
		p.Targets = append(p.Targets, drawTarget(t, fmt.Sprintf("tt%d", i)))
	}
	return p
}

func drawMatch(t *rapid.T, name string) specs.HTTPMatch {
	m := specs.HTTPMatch{Name: name, PathRegex: usually(t, pick(t, "", ".*", "/a", "/a/.*", "/[ab]", "/b|/c"), pick(t, "/(", "/"+strings.Repeat("a", 1024)))}
	for range rapid.IntRange(0, 2).Draw(t, "methods") {
		m.Methods = append(m.Methods, pick[specs.HTTPMethod](t, "GET", "POST", "*"))
	}
	if pick(t, false, false, true) {
		m.Headers = append(m.Headers, map[string]string{pick(t, "x-a", "X-B", "host", "Host"): usually(t, pick(t, "", "1", "1|2", ".*", "[xy].*"), "[")})
	}
	return m
}

func drawTarget(t *rapid.T, name string) *access.TrafficTarget {
	o := &access.TrafficTarget{ObjectMeta: metav1.ObjectMeta{Namespace: usually(t, "shop", "client"), Name: name}}
	o.Spec.Destination.Kind = usually(t, "ServiceAccount", "Service")
	o.Spec.Destination.Name = usually(t, pick(t, "x", "y"), "")
	o.Spec.Destination.Namespace = "shop"
	for range usually(t, pick(t, 1, 2), 0) {
		id := pick(t, modelSources...)
		o.Spec.Sources = append(o.Spec.Sources, access.IdentityBindingSubject{
			Kind: usually(t, "ServiceAccount", "User"), Name: id.ServiceAccount, Namespace: usually(t, id.Namespace, "")})
	}
	for range usually(t, pick(t, 1, 1, 2, 3), 0) {
		r := access.TrafficTargetRule{Kind: "HTTPRouteGroup", Name: pick(t, "g0", "g1", "g2")}
		if pick(t, false, false, true) {
			r = access.TrafficTargetRule{Kind: usually(t, "TCPRoute", "UDPRoute"), Name: pick(t, "t0", "t1")}
		}
		r.Name = usually(t, r.Name, "nope")
		for range usually(t, pick(t, 1, 2, 3), 0) {
			r.Matches = append(r.Matches, usually(t, pick(t, "m0", "m1", "m2"), "m9"))
		}
		o.Spec.Rules = append(o.Spec.Rules, r)
	}
	return o
}

// usually draws the first value seven times of eight.
func usually[T any](t *rapid.T, right, wrong T) T {
	return pick(t, right, right, right, right, right, right, right, wrong)
}

func pick[T any](t *rapid.T, from ...T) T { return rapid.SampledFrom(from).Draw(t, "") }

// modelCall is one call of the model mesh.
type modelCall struct {
	from meshid.Identity
	// to is one of modelServices.
	to   string
	port uint16
	req  *sim.Request
	// pick chooses among weighted backends.
	pick uint32
}

func drawCall(t *rapid.T) modelCall {
	c := modelCall{from: pick(t, modelSources...), to: pick(t, modelServices...), pick: pick[uint32](t, 0, 1, 2, 3, 5, 9),
		port: pick(t, modelPorts[0], modelPorts[0], modelPorts[0], modelPorts[1], modelPorts[2], modelPorts[3])}
	if c.port == modelPorts[0] || c.port == undeclaredPort && pick(t, true, false) {
		c.req = &sim.Request{
			Method: pick(t, "GET", "POST", "PUT"), Path: pick(t, "/", "/a", "/b", "/c", "/a/b", "/aa", "/a?q=/b"),
			Host: pick(t, ".shop", ".shop.svc", fmt.Sprintf(".shop:%d", c.port)), Headers: map[string]string{},
		}
		c.req.Host = c.to + c.req.Host
		for range rapid.IntRange(0, 2).Draw(t, "headers") {
			c.req.Headers[pick(t, "x-a", "x-b")] = pick(t, "1", "2", "12")
		}
	}
	return c
}

// modelMesh is the resources generated for a policy.
type modelMesh struct {
	policy  policySet
	view    *pipeline.View
	proxies map[meshid.Identity]*sim.Proxy
}

func modelAddr(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}) }

func newModelMesh(p policySet) *modelMesh {
	parts := snapshot.Parts{Mesh: snapshot.Mesh{TrustDomain: "td", Detect: true, Permissive: p.Permissive}, Endpoints: snapshot.Endpoints{}, Policies: p.objects()}
	add := func(i int, id meshid.Identity) *snapshot.Pod {
		pod := &snapshot.Pod{ID: meshid.Pod{Namespace: id.Namespace, Name: id.ServiceAccount, UID: id.String()}, Identity: id, ProxyUUID: "x",
			Labels: map[string]string{"app": id.String()}, IPs: []netip.Addr{modelAddr(i)}}
		parts.Pods = append(parts.Pods, pod)
		return pod
	}
	parts.Services = append(parts.Services,
		&snapshot.Service{ID: meshid.Service{Namespace: "shop", Name: modelRoot}, ClusterIPs: []netip.Addr{modelAddr(100)}, Ports: modelServicePorts()})
	for i, id := range modelDestinations {
		pod := add(i, id)
		svc := &snapshot.Service{ID: meshid.Service{Namespace: id.Namespace, Name: id.ServiceAccount}, ClusterIPs: []netip.Addr{modelAddr(101 + i)}, Selector: pod.Labels, Ports: modelServicePorts()}
		for _, port := range modelPorts {
			parts.Endpoints[meshid.ServicePort{Service: svc.ID, Port: port}] = []snapshot.Endpoint{{Addr: netip.AddrPortFrom(modelAddr(i), port), Pod: pod.ID}}
		}
		parts.Services = append(parts.Services, svc)
	}
	for i, id := range modelSources {
		add(10+i, id)
	}
	view, err := pipeline.New([]byte("roots")).Apply(snapshot.New(parts), snapshot.Changed{Config: true})
	if err != nil {
		panic(err)
	}
	m := &modelMesh{policy: p, view: view, proxies: map[meshid.Identity]*sim.Proxy{}}
	for _, pod := range parts.Pods {
		var key plan.Key
		key, _ = view.Place(pod.ID)
		m.proxies[pod.Identity] = &sim.Proxy{Principal: pod.Identity.Principal("td"), CertSecret: names.SecretServiceCert(pod.Identity),
			Resources: view.Config(key), Endpoints: view.Endpoints}
	}
	return m
}

func modelServicePorts() []snapshot.ServicePort {
	var out []snapshot.ServicePort
	for j, port := range modelPorts {
		protocol := meshid.TCP
		if j == 0 || port == undeclaredPort {
			protocol = meshid.HTTP
		}
		out = append(out, snapshot.ServicePort{Port: port, TargetPort: port, Protocol: protocol, Undeclared: port == undeclaredPort})
	}
	return out
}

func (p policySet) objects() snapshot.Policies {
	out := map[string][]snapshot.Object{}
	for _, o := range p.Splits {
		out["TrafficSplit"] = append(out["TrafficSplit"], o)
	}
	for _, o := range p.Groups {
		out["HTTPRouteGroup"] = append(out["HTTPRouteGroup"], o)
	}
	for _, o := range p.Routes {
		out["TCPRoute"] = append(out["TCPRoute"], o)
	}
	for _, o := range p.Targets {
		out["TrafficTarget"] = append(out["TrafficTarget"], o)
	}
	return snapshot.NewPolicies(out)
}

// end is how a call ends in the generated resources.
func (m *modelMesh) end(c modelCall) string { return m.outcome(c).String() }

func (m *modelMesh) outcome(c modelCall) sim.Outcome {
	at := func(to netip.AddrPort) *sim.Proxy {
		for i, id := range modelDestinations {
			if to.Addr() == modelAddr(i) {
				return m.proxies[id]
			}
		}
		return nil
	}
	i := slices.Index(modelServices, c.to)
	out, err := sim.FromMesh(m.proxies[c.from], at, sim.Call{To: netip.AddrPortFrom(modelAddr(100+i), c.port), HTTP: c.req, Pick: m.policy.picks(c)})
	if err != nil {
		return sim.Outcome{End: sim.End(err.Error())}
	}
	return out
}
