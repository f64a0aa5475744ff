package egress

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	policyv1 "openservicemesh.io/osm/api/policy/v1alpha1"
	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/snapshot"
)

func TestHosts(t *testing.T) {
	for in, want := range map[string]string{
		"www.example.com": "www.example.com", "WWW.Example.COM.": "www.example.com", "example": "example", "*.example.com": "*.example.com",
		"_sip.example.com": "_sip.example.com", "xn--bcher-kva.example": "xn--bcher-kva.example", "1.example": "1.example", "203.0.113.1": "203.0.113.1",
		"2001:db8::1": "[2001:db8::1]", "[2001:DB8::1]": "[2001:db8::1]", "::ffff:203.0.113.1": "203.0.113.1", "mylocalhost": "mylocalhost", "localhost.example.com": "localhost.example.com",
	} {
		got, err := parseHost(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got)
	}
	for _, in := range []string{
		"", ".", "*", "*.", "*.*", "a*.example.com", "www.*.com", "a b", "http://x.example", "x.example:80", "x.example/y", "-a.example", "a..b", "x.example\n", "ü.example",
		"localhost", "LOCALHOST.", "a.localhost", "*.localhost", "localhost.localdomain", "ip6-localhost", "metadata.google.internal", "instance-data",
		"127.0.0.1", "127.9.9.9", "0.0.0.0", "0.1.2.3", "169.254.169.254", "::1", "[::1]", "::", "fe80::1", "fe80::1%eth0", "febf::1", "::ffff:127.0.0.1", "[::ffff:169.254.169.254]",
		"127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.0.0.1.", "a.1", "256.1.1.1",
	} {
		_, err := parseHost(in)
		require.Error(t, err, "%q", in)
	}
}

func TestRanges(t *testing.T) {
	for _, in := range []string{"203.0.113.0/24", "203.0.113.9/24", "0.0.0.0/0", "::/0", "2001:db8::/32", "128.0.0.0/1", "126.0.0.0/7", "fe00::/8"} {
		_, err := parseRange(in)
		require.NoError(t, err, "%s is wider than what is refused, or elsewhere", in)
	}
	for _, in := range []string{"203.0.113.1", "x", "127.0.0.0/8", "127.0.0.1/32", "169.254.0.0/16", "169.254.169.254/32", "::1/128", "fe80::/10", "fe80::/64", "0.0.0.0/8", "0.0.0.0/32", "::/128", "::ffff:127.0.0.1/128"} {
		_, err := parseRange(in)
		require.Error(t, err, in)
	}
}

func lookup() Lookup {
	return Lookup{
		MeshNamespace: "osm-system",
		Node:          func(a netip.Addr) bool { return a == netip.MustParseAddr("192.0.2.1") },
		Service:       func(id meshid.Service) bool { return id == meshid.Service{Namespace: "shop", Name: "cart"} },
		Requests: func(ns, group string) ([]ir.RouteMatch, bool) {
			switch ns + "/" + group {
			case "ns/g":
				return []ir.RouteMatch{{Path: "/a"}, {Path: "/bb"}, {Path: "/a"}}, true
			case "ns/none":
				return nil, true
			}
			return nil, false
		},
		Limits: func(ns, name string) (*ir.Limits, bool, error) {
			switch ns + "/" + name {
			case "ns/s":
				return &ir.Limits{ConnectTimeout: 1}, true, nil
			case "ns/bad":
				return nil, true, errors.New("bad")
			}
			return nil, false, nil
		},
	}
}

func route(name string) policyv1.Reference {
	return policyv1.Reference{APIGroup: "specs.smi-spec.io/v1alpha4", Kind: "HTTPRouteGroup", Name: name}
}

func setting(name string) policyv1.Reference {
	return policyv1.Reference{APIGroup: "policy.openservicemesh.io/v1alpha1", Kind: "UpstreamTrafficSetting", Name: name}
}

func TestCompile(t *testing.T) {
	src := meshid.Identity{Namespace: "ns", ServiceAccount: "sa"}
	base := func(change func(*Policy)) *Policy {
		p := &Policy{Object: snapshot.ObjectRef{Kind: "Egress", Namespace: "ns", Name: "e"}, Sources: []meshid.Identity{src},
			Hosts: []string{"a.example"}, Ports: []Port{{80, meshid.HTTP}}}
		if change != nil {
			change(p)
		}
		return p
	}
	for _, c := range []struct {
		name   string
		change func(*policyv1.Egress)
		want   *Policy
		codes  []string
	}{
		{"plain", nil, base(nil), nil},
		{"protocol in any case", func(o *policyv1.Egress) { o.Spec.Ports[0].Protocol = "HtTp" }, base(nil), nil},
		{"port twice", func(o *policyv1.Egress) { o.Spec.Ports = append(o.Spec.Ports, o.Spec.Ports[0]) }, base(nil), nil},
		{"requests", func(o *policyv1.Egress) { o.Spec.Matches = []policyv1.Reference{route("g")} },
			base(func(p *Policy) { p.Requests = []ir.RouteMatch{{Path: "/bb"}, {Path: "/a"}} }), nil},
		{"no usable request is no request", func(o *policyv1.Egress) { o.Spec.Matches = []policyv1.Reference{route("none")} },
			base(func(p *Policy) { p.Requests = []ir.RouteMatch{} }), []string{"E2006"}},
		{"missing group", func(o *policyv1.Egress) { o.Spec.Matches = []policyv1.Reference{route("nope")} }, nil, []string{"E2004"}},
		{"limits", func(o *policyv1.Egress) { o.Spec.Matches = []policyv1.Reference{setting("s")} }, base(func(p *Policy) { p.Limits = &ir.Limits{ConnectTimeout: 1} }), nil},
		{"two limits", func(o *policyv1.Egress) { o.Spec.Matches = []policyv1.Reference{setting("s"), setting("bad")} },
			base(func(p *Policy) { p.Limits = &ir.Limits{ConnectTimeout: 1} }), []string{"E2003"}},
		{"missing limits", func(o *policyv1.Egress) { o.Spec.Matches = []policyv1.Reference{setting("nope")} }, base(nil), []string{"SettingNotFound"}},
		{"bad limits", func(o *policyv1.Egress) { o.Spec.Matches = []policyv1.Reference{setting("bad")} }, base(nil), []string{"InvalidSetting"}},
		{"bad match", func(o *policyv1.Egress) { o.Spec.Matches = []policyv1.Reference{{APIGroup: "v1", Kind: "Pod"}} }, nil, []string{"E2003"}},
		{"no source", func(o *policyv1.Egress) { o.Spec.Sources = nil }, nil, []string{"NoSources"}},
		{"source without name", func(o *policyv1.Egress) { o.Spec.Sources[0].Name = "" }, nil, []string{"InvalidSource", "NoSources"}},
		{"source of another kind", func(o *policyv1.Egress) { o.Spec.Sources[0].Kind = "Group" }, nil, []string{"InvalidSource", "NoSources"}},
		{"source of another namespace", func(o *policyv1.Egress) { o.Spec.Sources[0].Namespace = "other" }, nil, []string{"ForeignSource", "NoSources"}},
		{"from the control plane's namespace", func(o *policyv1.Egress) { o.Namespace = "osm-system" }, base(func(p *Policy) { p.Object.Namespace = "osm-system" }), nil},
		{"bad range", func(o *policyv1.Egress) { o.Spec.IPAddresses = []string{"x"} }, nil, []string{"E2002"}},
		{"node range", func(o *policyv1.Egress) { o.Spec.IPAddresses = []string{"192.0.2.1/32"} }, nil, []string{"E2002"}},
		{"one good range", func(o *policyv1.Egress) { o.Spec.IPAddresses = []string{"x", "203.0.113.0/24"} },
			base(func(p *Policy) { p.Ranges = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")} }), []string{"E2002"}},
		{"bad host alone", func(o *policyv1.Egress) { o.Spec.Hosts = []string{"localhost"} }, nil, []string{"InvalidHost"}},
		{"a service of the mesh", func(o *policyv1.Egress) { o.Spec.Hosts = []string{"cart.shop"} },
			base(func(p *Policy) { p.Hosts = []string{"cart.shop"} }), []string{"NoEffect"}},
		{"http without hosts", func(o *policyv1.Egress) { o.Spec.Hosts = nil }, nil, []string{"NoHosts"}},
		{"bad port", func(o *policyv1.Egress) { o.Spec.Ports[0].Number = 65536 }, nil, []string{"InvalidPort"}},
		{"bad protocol", func(o *policyv1.Egress) { o.Spec.Ports[0].Protocol = "udp" }, nil, []string{"InvalidPort"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := &policyv1.Egress{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "e"}}
			o.Spec.Sources = []policyv1.EgressSource{{Kind: "ServiceAccount", Name: "sa", Namespace: "ns"}}
			o.Spec.Hosts, o.Spec.Ports = []string{"a.example"}, []policyv1.EgressPort{{Number: 80, Protocol: "http"}}
			if c.change != nil {
				c.change(o)
			}
			got, findings := Compile([]*policyv1.Egress{o}, lookup())
			if c.want == nil {
				require.Empty(t, got)
			} else {
				require.Equal(t, []Policy{*c.want}, got)
			}
			var codes []string
			for _, f := range findings {
				require.Equal(t, "e", f.Object.Name)
				if f.Code != "" {
					codes = append(codes, f.Code)
				} else {
					codes = append(codes, f.Reason)
				}
			}
			require.Equal(t, c.codes, codes)
		})
	}
}

func TestWarnings(t *testing.T) {
	exists := lookup().Service
	o := &policyv1.Egress{ObjectMeta: metav1.ObjectMeta{Namespace: "osm-system", Name: "e"}}
	o.Spec.Sources = []policyv1.EgressSource{{Kind: "ServiceAccount", Name: "a", Namespace: "ns"}, {Kind: "ServiceAccount", Name: "b", Namespace: "shop"}}
	o.Spec.Ports = []policyv1.EgressPort{{Number: 443, Protocol: "HTTPS"}}
	for _, host := range []string{"cart", "cart.shop", "CART.shop.svc", "cart.shop.svc.cluster", "cart.shop.svc.cluster.local.", "cart-0.cart.shop.svc.cluster.local"} {
		o.Spec.Hosts = []string{"www.example.com", host}
		require.Equal(t, []string{"spec.hosts[1]: \"" + host + "\" is the service shop/cart of the mesh. TrafficTargets, or permissive mode, decide who may call it, " +
			"and no Egress does: a call they allow takes the way of the mesh, without the routes and settings of this object, and the service's sidecars close any other. " +
			"Remove the host; if the call is to be allowed, write a TrafficTarget"}, Warnings(o, exists))
	}
	o.Spec.Hosts = []string{"cart.other", "other", "shop.cart", "cart.example.com", "cart.svc", "a.b.c.cart.shop.svc", "*.shop.svc.cluster.local", "203.0.113.1", "2001:db8::1", "localhost"}
	require.Empty(t, Warnings(o, exists))
	o.Spec.Hosts, o.Spec.Ports[0].Protocol = []string{"cart.shop"}, "tcp"
	require.Empty(t, Warnings(o, exists), "tcp is opened by address")
	o.Spec.Sources, o.Spec.Hosts, o.Spec.Ports[0].Protocol = o.Spec.Sources[:1], []string{"cart"}, "http"
	require.Empty(t, Warnings(o, exists), "there, cart is another host")
}

// TestMergeAddsUp: whatever policies say about one port, the narrowest opening around an address allows exactly what some
// policy allows there.
func TestMergeAddsUp(t *testing.T) {
	ranges := []string{"203.0.113.0/24", "203.0.113.0/28", "203.0.113.7/32", "198.51.100.0/24", "2001:db8::/32", "0.0.0.0/0"}
	addrs := []string{"203.0.113.7", "203.0.113.9", "203.0.113.200", "198.51.100.1", "192.0.2.9", "2001:db8::1", "2001:db9::1"}
	names := []string{"a.example", "b.example", "c.example"}
	src := meshid.Identity{Namespace: "ns", ServiceAccount: "sa"}
	rapid.Check(t, func(t *rapid.T) {
		var policies []Policy
		for range rapid.IntRange(1, 4).Draw(t, "policies") {
			p := Policy{Sources: []meshid.Identity{src}, Hosts: rapid.SliceOfDistinct(rapid.SampledFrom(names), rapid.ID).Draw(t, "hosts"),
				Ports: []Port{{443, rapid.SampledFrom([]meshid.Protocol{ir.HTTPS, meshid.TCP}).Draw(t, "protocol")}}}
			for _, r := range rapid.SliceOfDistinct(rapid.SampledFrom(ranges), rapid.ID).Draw(t, "ranges") {
				p.Ranges = append(p.Ranges, netip.MustParsePrefix(r))
			}
			policies = append(policies, p)
		}
		merged, findings := Merge(policies)
		if len(findings) != 0 || len(merged[src]) != 1 {
			t.Fatalf("%v %v", findings, merged)
		}
		for _, a := range addrs {
			addr := netip.MustParseAddr(a)
			o := narrowest(merged[src][0].Openings, addr)
			for _, name := range append(names, "") {
				want := false
				for _, p := range policies {
					want = want || allows(p, addr, name)
				}
				got := o != nil && (o.TCP != "" || o.HTTPS && (o.ServerNames == nil || contains(o.ServerNames, name)))
				if got != want {
					t.Fatalf("%s to %s: opened %v, policies say %v\n%+v\n%+v", name, a, got, want, policies, merged)
				}
			}
		}
	})
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func allows(p Policy, a netip.Addr, name string) bool {
	in := len(p.Ranges) == 0
	for _, r := range p.Ranges {
		in = in || r.Contains(a)
	}
	return in && (p.Ports[0].Protocol == meshid.TCP || len(p.Hosts) == 0 || contains(p.Hosts, name))
}

func narrowest(list []Opening, a netip.Addr) *Opening {
	best := -1
	var out *Opening
	for i, o := range list {
		if len(o.Ranges) == 0 && best < 0 {
			out = &list[i]
		}
		for _, r := range o.Ranges {
			if r.Contains(a) && r.Bits() > best {
				best, out = r.Bits(), &list[i]
			}
		}
	}
	return out
}
