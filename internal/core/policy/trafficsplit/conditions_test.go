package trafficsplit

import (
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	split "openservicemesh.io/osm/api/smi/split/v1alpha2"
	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/snapshot"
)

func TestConditions(t *testing.T) {
	all := Lookup{
		Exists: func(meshid.Service) bool { return true },
		Ports:  func(meshid.Service) []snapshot.ServicePort { return nil },
	}
	groups := func(ns, name string) ([]ir.RouteMatch, bool) {
		if ns != "ns" || name == "none" {
			return nil, false
		}
		return map[string][]ir.RouteMatch{"g": {{Path: "/b"}, {Path: "/aa"}}, "h": {{Path: "/b"}}}[name], true
	}
	match := func(kind, name string) split.TrafficSplitMatch {
		return split.TrafficSplitMatch{Kind: kind, Name: name}
	}
	object := func(name string, weight int, matches ...split.TrafficSplitMatch) *split.TrafficSplit {
		return &split.TrafficSplit{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name},
			Spec: split.TrafficSplitSpec{Service: "web", Backends: []split.TrafficSplitBackend{{Service: "v1", Weight: weight}}, Matches: matches}}
	}
	web := meshid.Service{Namespace: "ns", Name: "web"}
	for _, c := range []struct {
		name    string
		objects []*split.TrafficSplit
		want    Conditions
		reasons []string
	}{
		{"without", []*split.TrafficSplit{object("a", 1)}, Conditions{}, nil},
		{"longer paths first, once each", []*split.TrafficSplit{object("a", 1, match("HTTPRouteGroup", "g"), match("HTTPRouteGroup", "h"))},
			Conditions{web: {{Path: "/aa"}, {Path: "/b"}}}, nil},
		{"what is not there splits nothing", []*split.TrafficSplit{object("a", 1, match("HTTPRouteGroup", "none"))}, Conditions{web: {}}, []string{"RouteGroupNotFound"}},
		{"nor does a group without matches", []*split.TrafficSplit{object("a", 1, match("HTTPRouteGroup", "empty"))}, Conditions{web: {}}, []string{"RouteGroupNotFound"}},
		{"nor another kind", []*split.TrafficSplit{object("a", 1, match("TCPRoute", "g"))}, Conditions{web: {}}, []string{"UnsupportedMatch"}},
		{"of the split in force", []*split.TrafficSplit{object("a", 0, match("HTTPRouteGroup", "g")), object("b", 1, match("HTTPRouteGroup", "h")), object("c", 1)},
			Conditions{web: {{Path: "/b"}}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, findings := CompileConditions(c.objects, all, groups)
			require.Equal(t, c.want, got)
			var reasons []string
			for _, f := range findings {
				reasons = append(reasons, f.Reason)
			}
			require.Equal(t, c.reasons, reasons)
		})
	}
}
