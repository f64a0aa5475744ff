package traffictarget

import (
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	access "openservicemesh.io/osm/api/smi/access/v1alpha3"
	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
)

// lookup knows group "g" with matches "a" and "b" in namespace "ns", and TCPRoutes "any" and "db" (ports 1 and 2).
var lookup = Lookup{
	Match: func(ns, group, match string) ([]ir.RouteMatch, bool) {
		if ns != "ns" || group != "g" {
			return nil, false
		}
		return map[string][]ir.RouteMatch{"a": {{Path: "/a"}}, "b": {{Path: "/bb"}, {Path: "/a"}}}[match], true
	},
	Ports: func(ns, name string) ([]uint16, bool) {
		switch {
		case ns == "ns" && name == "any":
			return nil, true
		case ns == "ns" && name == "db":
			return []uint16{1, 2}, true
		}
		return nil, false
	},
}

func http(name string, matches ...string) access.TrafficTargetRule {
	return access.TrafficTargetRule{Kind: access.KindHTTPRouteGroup, Name: name, Matches: matches}
}

func tcp(name string) access.TrafficTargetRule {
	return access.TrafficTargetRule{Kind: access.KindTCPRoute, Name: name}
}

func TestCompile(t *testing.T) {
	dst, src := meshid.Identity{Namespace: "ns", ServiceAccount: "dst"}, meshid.Identity{Namespace: "other", ServiceAccount: "src"}
	grant := func(http []ir.RouteMatch, ports []uint16, any bool) []Grant {
		return []Grant{{Name: "ns/t", Destination: dst, Sources: []meshid.Identity{src}, HTTP: http, TCPPorts: ports, AnyPort: any, Requests: len(http) > 0}}
	}
	unusable := grant(nil, []uint16{1, 2}, false)
	unusable[0].Requests = true
	a, bb := ir.RouteMatch{Path: "/a"}, ir.RouteMatch{Path: "/bb"}
	for _, c := range []struct {
		name   string
		change func(*access.TrafficTarget)
		rules  []access.TrafficTargetRule
		want   []Grant
		codes  []string // reason, or code where there is one
	}{
		{"requests", nil, []access.TrafficTargetRule{http("g", "a")}, grant([]ir.RouteMatch{a}, nil, true), nil},
		{"longer paths first, once each", nil, []access.TrafficTargetRule{http("g", "a", "b"), http("g", "b")}, grant([]ir.RouteMatch{bb, a}, nil, true), nil},
		{"ports", nil, []access.TrafficTargetRule{tcp("db")}, grant(nil, []uint16{1, 2}, false), nil},
		{"every port", nil, []access.TrafficTargetRule{tcp("db"), tcp("any")}, grant(nil, []uint16{1, 2}, true), nil},
		{"requests and ports", nil, []access.TrafficTargetRule{http("g", "a"), tcp("db")}, grant([]ir.RouteMatch{a}, []uint16{1, 2}, false), nil},
		{"a missing TCPRoute opens no port", nil, []access.TrafficTargetRule{http("g", "a"), tcp("nope")}, grant([]ir.RouteMatch{a}, nil, false), []string{"TCPRouteNotFound"}},
		{"a missing group beside a port", nil, []access.TrafficTargetRule{http("nope", "a"), tcp("db")}, unusable, []string{"E2005"}},
		{"a missing match", nil, []access.TrafficTargetRule{http("g", "a", "z")}, grant([]ir.RouteMatch{a}, nil, true), []string{"E2006"}},
		{"nothing but a missing match", nil, []access.TrafficTargetRule{http("g", "z")}, nil, []string{"E2006"}},
		{"nothing but a missing group", nil, []access.TrafficTargetRule{http("nope", "a")}, nil, []string{"E2005"}},
		{"no matches named", nil, []access.TrafficTargetRule{http("g")}, nil, []string{"E2006"}},
		{"no rules", nil, nil, nil, []string{"NoRules"}},
		{"UDP", nil, []access.TrafficTargetRule{{Kind: "UDPRoute", Name: "x"}}, nil, []string{"UnsupportedRule"}},
		{"other namespace", func(o *access.TrafficTarget) { o.Spec.Destination.Namespace = "other" }, []access.TrafficTargetRule{http("g", "a")}, nil, []string{"InvalidDestination"}},
		{"destination kind", func(o *access.TrafficTarget) { o.Spec.Destination.Kind = "Pod" }, []access.TrafficTargetRule{http("g", "a")}, nil, []string{"E2010"}},
		{"no destination name", func(o *access.TrafficTarget) { o.Spec.Destination.Name = "" }, []access.TrafficTargetRule{http("g", "a")}, nil, []string{"InvalidDestination"}},
		{"source kind", func(o *access.TrafficTarget) { o.Spec.Sources[0].Kind = "Group" }, []access.TrafficTargetRule{http("g", "a")}, nil, []string{"E2011", "E2011"}},
		{"source without namespace", func(o *access.TrafficTarget) { o.Spec.Sources[0].Namespace = "" }, []access.TrafficTargetRule{http("g", "a")}, nil, []string{"E2011", "E2011"}},
		{"no sources", func(o *access.TrafficTarget) { o.Spec.Sources = nil }, []access.TrafficTargetRule{http("g", "a")}, nil, []string{"E2011"}},
		{"a source twice", func(o *access.TrafficTarget) { o.Spec.Sources = append(o.Spec.Sources, o.Spec.Sources[0]) }, []access.TrafficTargetRule{http("g", "a")}, grant([]ir.RouteMatch{a}, nil, true), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := &access.TrafficTarget{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "t"}}
			o.Spec.Destination = access.IdentityBindingSubject{Kind: access.KindServiceAccount, Name: "dst", Namespace: "ns"}
			o.Spec.Sources = []access.IdentityBindingSubject{{Kind: access.KindServiceAccount, Name: "src", Namespace: "other"}}
			o.Spec.Rules = c.rules
			if c.change != nil {
				c.change(o)
			}
			got, findings := Compile([]*access.TrafficTarget{o}, lookup)
			require.Equal(t, c.want, got)
			var codes []string
			for _, f := range findings {
				require.Equal(t, "TrafficTarget ns/t", f.Object.String())
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
