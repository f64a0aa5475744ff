package trafficsplit

import (
	"slices"

	split "openservicemesh.io/osm/api/smi/split/v1alpha2"
	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// KindOfMatches is the one kind that a split's matches may name.
const KindOfMatches = "HTTPRouteGroup"

// Conditions maps an apex to the requests that are split, for apexes whose split limits itself to some; the others go to
// the apex itself, as do all bytes. An empty list splits nothing.
type Conditions map[meshid.Service][]ir.RouteMatch

// CompileConditions reads the matches of the splits that are in force. A group that cannot be found splits nothing and is
// reported: it must not widen the split. groups returns all matches of a group, false when it does not exist.
func CompileConditions(objects []*split.TrafficSplit, services Lookup, groups func(namespace, name string) ([]ir.RouteMatch, bool)) (Conditions, []snapshot.Finding) {
	out := Conditions{}
	seen := map[meshid.Service]bool{}
	var findings []snapshot.Finding
	for _, o := range objects {
		dry := compiler{object: o, services: services}
		apex, _, ok := dry.compile()
		if !ok || seen[apex] {
			continue
		}
		seen[apex] = true
		if len(o.Spec.Matches) == 0 {
			continue
		}
		c := compiler{object: o, services: services}
		out[apex] = c.conditions(groups)
		findings = append(findings, c.findings...)
	}
	return out, findings
}

func (c *compiler) conditions(groups func(namespace, name string) ([]ir.RouteMatch, bool)) []ir.RouteMatch {
	out := []ir.RouteMatch{}
	for i, m := range c.object.Spec.Matches {
		if m.Kind != KindOfMatches {
			c.report(snapshot.Error, "", "UnsupportedMatch", "spec.matches[%d].kind: %q is not supported; use %s", i, m.Kind, KindOfMatches)
			continue
		}
		found, ok := groups(c.object.Namespace, m.Name)
		if !ok || len(found) == 0 {
			c.report(snapshot.Error, "", "RouteGroupNotFound",
				"spec.matches[%d].name: HTTPRouteGroup %s/%s does not exist or has no usable match; it splits no request", i, c.object.Namespace, m.Name)
			continue
		}
		out = append(out, found...)
	}
	slices.SortFunc(out, ir.CompareRouteMatch)
	return slices.CompactFunc(out, ir.EqualRouteMatch)
}
