// Package routegroup compiles HTTPRouteGroup objects (specs.smi-spec.io/v1alpha4). Input: the objects. Output: the
// request matches of every named match, and findings. It imports the api types, snapshot and ir; no other policy kind.
package routegroup

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	specs "openservicemesh.io/osm/api/smi/specs/v1alpha4"
	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// Kind is the kind this package compiles.
const Kind = "HTTPRouteGroup"

// Key names a group.
type Key struct{ Namespace, Name string }

// Groups are the compiled groups.
type Groups map[Key]Group

// Group maps the name of a match to its request matches: one per method. A match that cannot be compiled is absent, so
// it admits nothing.
type Group map[string][]ir.RouteMatch

// Compile compiles every group. An invalid match is left out alone and reported.
func Compile(objects []*specs.HTTPRouteGroup) (Groups, []snapshot.Finding) {
	groups := make(Groups, len(objects))
	var findings []snapshot.Finding
	for _, o := range objects {
		g, f := compileGroup(o)
		groups[Key{o.Namespace, o.Name}] = g
		findings = append(findings, f...)
	}
	return groups, findings
}

// Check reports what is wrong with one object by itself.
func Check(o *specs.HTTPRouteGroup) []snapshot.Finding {
	_, f := compileGroup(o)
	return f
}

func compileGroup(o *specs.HTTPRouteGroup) (Group, []snapshot.Finding) {
	g := make(Group, len(o.Spec.Matches))
	seen := make(map[string]bool, len(o.Spec.Matches))
	ref := snapshot.ObjectRef{Kind: Kind, Namespace: o.Namespace, Name: o.Name}
	var findings []snapshot.Finding
	report := func(reason, format string, args ...any) {
		findings = append(findings, snapshot.Finding{
			Object: ref, Severity: snapshot.Error, Reason: reason, Message: fmt.Sprintf(format, args...)})
	}
	for i := range o.Spec.Matches {
		m := &o.Spec.Matches[i]
		if seen[m.Name] {
			// Also after an invalid match: its author meant that one, and a later one might admit more.
			report("DuplicateMatch", "spec.matches[%d].name: %q is used twice; the first one counts. Give each match a name of its own", i, m.Name)
			continue
		}
		seen[m.Name] = true
		matches, err := compileMatch(m)
		if err != nil {
			report("InvalidMatch", "spec.matches[%d] (%s): %v; the match is ignored", i, m.Name, err)
			continue
		}
		g[m.Name] = matches
	}
	return g, findings
}

func compileMatch(m *specs.HTTPMatch) ([]ir.RouteMatch, error) {
	path, err := expression("pathRegex", m.PathRegex)
	if err != nil {
		return nil, err
	}
	var headers []ir.HeaderMatch
	for _, h := range m.HeaderMatches() {
		name := strings.ToLower(h.Name)
		if !validHeaderName(name) {
			return nil, fmt.Errorf("headers: %q is not the name of a header; write it as `- name: expression`", h.Name)
		}
		re, err := expression("headers."+h.Name, h.Regex)
		if err != nil {
			return nil, err
		}
		if re == "" {
			re = ".*"
		}
		if name == "host" {
			name = ":authority"
		}
		headers = append(headers, ir.HeaderMatch{Name: name, Regex: re})
	}
	methods := methodsOf(m)
	out := make([]ir.RouteMatch, 0, len(methods))
	for _, method := range methods {
		out = append(out, ir.RouteMatch{Path: path, Method: method, Headers: headers})
	}
	return out, nil
}

// methodsOf returns one expression per method; "" stands for all.
func methodsOf(m *specs.HTTPMatch) []string {
	if len(m.Methods) == 0 || slices.Contains(m.Methods, specs.MethodAll) {
		return []string{""}
	}
	out := make([]string, 0, len(m.Methods))
	for _, method := range m.Methods {
		out = append(out, regexp.QuoteMeta(string(method)))
	}
	slices.Sort(out)
	return slices.Compact(out)
}
