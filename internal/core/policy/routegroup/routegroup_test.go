package routegroup

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	specs "openservicemesh.io/osm/api/smi/specs/v1alpha4"
	"openservicemesh.io/osm/internal/core/ir"
)

func group(matches ...specs.HTTPMatch) *specs.HTTPRouteGroup {
	return &specs.HTTPRouteGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "g"}, Spec: specs.HTTPRouteGroupSpec{Matches: matches}}
}

func TestCompile(t *testing.T) {
	for _, c := range []struct {
		name  string
		match specs.HTTPMatch
		want  []ir.RouteMatch
	}{
		{"nothing is everything", specs.HTTPMatch{}, []ir.RouteMatch{{}}},
		{"everything is nothing", specs.HTTPMatch{PathRegex: ".*", Methods: []specs.HTTPMethod{"*"}}, []ir.RouteMatch{{}}},
		{"one route a method, sorted, once", specs.HTTPMatch{PathRegex: "/a", Methods: []specs.HTTPMethod{"PUT", "GET", "PUT"}},
			[]ir.RouteMatch{{Path: "/a", Method: "GET"}, {Path: "/a", Method: "PUT"}}},
		{"a star among methods", specs.HTTPMatch{Methods: []specs.HTTPMethod{"GET", "*"}}, []ir.RouteMatch{{}}},
		{"headers in lower case, host is the authority", specs.HTTPMatch{Headers: []map[string]string{{"X-B": "1"}, {"Host": "a"}, {"x-a": ""}}},
			[]ir.RouteMatch{{Headers: []ir.HeaderMatch{{Name: ":authority", Regex: "a"}, {Name: "x-b", Regex: "1"}, {Name: "x-a", Regex: ".*"}}}}},
		{"a method is no expression", specs.HTTPMatch{Methods: []specs.HTTPMethod{"G.T"}}, []ir.RouteMatch{{Method: `G\.T`}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.match.Name = "m"
			groups, findings := Compile([]*specs.HTTPRouteGroup{group(c.match)})
			require.Empty(t, findings)
			require.Equal(t, Groups{{"ns", "g"}: {"m": c.want}}, groups)
		})
	}
}

func TestWhatCannotBeCompiledIsLeftOutAlone(t *testing.T) {
	for _, c := range []struct {
		name  string
		match specs.HTTPMatch
		want  string
	}{
		{"path", specs.HTTPMatch{PathRegex: "/("}, `spec.matches[0] (bad): pathRegex: "/(" is not an RE2 expression`},
		{"bare star", specs.HTTPMatch{PathRegex: "*"}, `pathRegex: "*" is not an RE2 expression`},
		{"look-ahead", specs.HTTPMatch{PathRegex: "/(?!admin).*"}, "is not an RE2 expression"},
		{"long", specs.HTTPMatch{PathRegex: strings.Repeat("a", MaxRegexLength+1)}, "1025 characters are too many; use at most 1024"},
		{"large", specs.HTTPMatch{PathRegex: `\pL{900}`}, "is too complex"},
		{"nested repetition", specs.HTTPMatch{PathRegex: `((a{100}){100}){100}`}, "expression"},
		{"a class that the proxy does not know", specs.HTTPMatch{PathRegex: `/\p{Letter}+`}, `spec.matches[0] (bad): pathRegex: "/\\p{Letter}+" names the class of characters "Letter", which the proxy does not know`},
		{"zero byte", specs.HTTPMatch{PathRegex: "/a\x00"}, "holds bytes that no request can"},
		{"header", specs.HTTPMatch{Headers: []map[string]string{{"x-a": "["}}}, `headers.x-a: "[" is not an RE2 expression`},
		{"header name", specs.HTTPMatch{Headers: []map[string]string{{"x a": "1"}}}, `"x a" is not the name of a header`},
		{"line break in a header name", specs.HTTPMatch{Headers: []map[string]string{{"x\r\ny": "1"}}}, "is not the name of a header"},
		{"no header name", specs.HTTPMatch{Headers: []map[string]string{{"": "1"}}}, `"" is not the name of a header`},
		{"unknown pseudo header", specs.HTTPMatch{Headers: []map[string]string{{":status": "1"}}}, "is not the name of a header"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.match.Name = "bad"
			o := group(c.match, specs.HTTPMatch{Name: "good", PathRegex: "/good"})
			groups, findings := Compile([]*specs.HTTPRouteGroup{o})
			require.Equal(t, Groups{{"ns", "g"}: {"good": {{Path: "/good"}}}}, groups)
			require.Len(t, findings, 1)
			require.Equal(t, "InvalidMatch", findings[0].Reason)
			require.Contains(t, findings[0].Message, c.want)
			require.Equal(t, findings, Check(o))
		})
	}
}

func TestDuplicateNames(t *testing.T) {
	g, findings := Compile([]*specs.HTTPRouteGroup{group(specs.HTTPMatch{Name: "m", PathRegex: "/1"}, specs.HTTPMatch{Name: "m", PathRegex: "/2"})})
	require.Equal(t, Group{"m": {{Path: "/1"}}}, g[Key{"ns", "g"}])
	require.Equal(t, "DuplicateMatch", findings[0].Reason)

	g, findings = Compile([]*specs.HTTPRouteGroup{group(specs.HTTPMatch{Name: "m", PathRegex: "("}, specs.HTTPMatch{Name: "m"})})
	require.Empty(t, g[Key{"ns", "g"}], "the second does not step in")
	require.Len(t, findings, 2)
}

// TestUsualExpressionsAreNotTooComplex keeps the bound away from what people write.
func TestUsualExpressionsAreNotTooComplex(t *testing.T) {
	for _, re := range []string{
		"/books-bought", `/api/v[0-9]+/users/[a-zA-Z0-9_-]{1,64}(/.*)?`, `.*-http-client/.*`, `(a|b|c|d){1,50}`, `/[^/]{1,255}/[^/]{1,255}`, `.{1,1000}`,
		strings.Repeat("a", MaxRegexLength),
	} {
		got, err := expression("pathRegex", re)
		require.NoError(t, err, re)
		require.Equal(t, re, got)
	}
}
