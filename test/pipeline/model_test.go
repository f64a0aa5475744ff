package pipeline

import (
	"regexp"
	"slices"
	"strings"

	access "openservicemesh.io/osm/api/smi/access/v1alpha3"
	specs "openservicemesh.io/osm/api/smi/specs/v1alpha4"
	"openservicemesh.io/osm/internal/core/sim"
)

// policySet is the policy of a mesh in SMI mode. What follows reads it as its meaning is described, without any of the
// core's code: grants add up, there are no denials, and what is not understood grants nothing.
type policySet struct {
	Groups  []*specs.HTTPRouteGroup
	Routes  []*specs.TCPRoute
	Targets []*access.TrafficTarget
}

// grants reports whether a target is in force: its destination is a service account of its own namespace, a source is a
// service account, and a rule of it can be resolved.
func (p policySet) grants(t *access.TrafficTarget) bool {
	d := t.Spec.Destination
	if d.Kind != "ServiceAccount" || d.Name == "" || d.Namespace != t.Namespace || len(sourcesOf(t)) == 0 {
		return false
	}
	return len(p.matchesOf(t)) > 0 || slices.ContainsFunc(t.Spec.Rules, func(r access.TrafficTargetRule) bool {
		_, ok := p.portsOf(t, r)
		return ok
	})
}

func sourcesOf(t *access.TrafficTarget) []string {
	var out []string
	for _, s := range t.Spec.Sources {
		if s.Kind == "ServiceAccount" && s.Name != "" && s.Namespace != "" {
			out = append(out, s.Name+"."+s.Namespace)
		}
	}
	return out
}

// matchesOf lists the matches that a target's rules name and that can be understood.
func (p policySet) matchesOf(t *access.TrafficTarget) []specs.HTTPMatch {
	var out []specs.HTTPMatch
	for _, r := range t.Spec.Rules {
		for _, g := range p.Groups {
			if r.Kind != "HTTPRouteGroup" || g.Namespace != t.Namespace || g.Name != r.Name {
				continue
			}
			for _, m := range g.Spec.Matches {
				if slices.Contains(r.Matches, m.Name) && understood(m) {
					out = append(out, m)
				}
			}
		}
	}
	return out
}

func understood(m specs.HTTPMatch) bool {
	all := []string{m.PathRegex}
	for _, h := range m.HeaderMatches() {
		all = append(all, h.Regex)
	}
	return !slices.ContainsFunc(all, func(s string) bool {
		_, err := regexp.Compile(s)
		return err != nil || len(s) > 1024
	})
}

// portsOf returns the ports of a TCPRoute rule; an empty list is every port.
func (p policySet) portsOf(t *access.TrafficTarget, r access.TrafficTargetRule) ([]int, bool) {
	for _, route := range p.Routes {
		if r.Kind != "TCPRoute" || route.Namespace != t.Namespace || route.Name != r.Name {
			continue
		}
		var out []int
		for _, n := range route.Spec.Matches.Ports {
			if n > 0 && n < 65536 {
				out = append(out, n)
			}
		}
		return out, len(out) > 0 || len(route.Spec.Matches.Ports) == 0
	}
	return nil, false
}

// admitsConnection reports whether a target lets its sources connect to a port. A target without TCPRoute rules does
// not limit ports; one that grants requests opens ports that take requests.
func (p policySet) admitsConnection(t *access.TrafficTarget, port int, http bool) bool {
	limited := false
	for _, r := range t.Spec.Rules {
		if r.Kind != "TCPRoute" {
			continue
		}
		limited = true
		if ports, ok := p.portsOf(t, r); ok && (len(ports) == 0 || slices.Contains(ports, port)) {
			return true
		}
	}
	return !limited || (http && len(p.matchesOf(t)) > 0)
}

// admitsBytes reports whether a target lets its sources send what is no request to a port that declares nothing: if it is
// about ports alone, and names this one.
func (p policySet) admitsBytes(t *access.TrafficTarget, port int) bool {
	named := false
	for _, r := range t.Spec.Rules {
		if r.Kind == "HTTPRouteGroup" {
			return false
		}
		ports, _ := p.portsOf(t, r)
		named = named || slices.Contains(ports, port)
	}
	return named
}

// judge says how a call ends, as a caller sees it.
func (p policySet) judge(source, destination string, port int, req *sim.Request) string {
	var connects, bytes, routed, allowed, permitted, any bool
	for _, t := range p.Targets {
		if !p.grants(t) {
			continue
		}
		mine := slices.Contains(sourcesOf(t), source)
		any = any || mine
		if t.Spec.Destination.Name+"."+t.Spec.Destination.Namespace != destination {
			continue
		}
		permitted = permitted || mine
		connects = connects || mine && p.admitsConnection(t, port, req != nil)
		bytes = bytes || mine && p.admitsBytes(t, port)
		if req != nil && slices.ContainsFunc(p.matchesOf(t), func(m specs.HTTPMatch) bool { return fits(m, *req) }) {
			routed, allowed = true, allowed || mine
		}
	}
	switch {
	case !any:
		return "refused"
	case !permitted:
		return "reset"
	case req == nil && port == undeclaredPort && !bytes:
		return "answered 404" // they are taken for requests
	case req == nil && connects:
		return "connected"
	case req == nil:
		return "reset"
	case !connects:
		return "answered 503"
	case !routed:
		return "answered 404"
	case !allowed:
		return "answered 403"
	}
	return "answered 200"
}

// fits reports whether a request meets all conditions of a match.
func fits(m specs.HTTPMatch, r sim.Request) bool {
	path, _, _ := strings.Cut(r.Path, "?")
	if m.PathRegex != "" && !whole(m.PathRegex, path) {
		return false
	}
	if len(m.Methods) > 0 && !slices.Contains(m.Methods, "*") && !slices.Contains(m.Methods, specs.HTTPMethod(r.Method)) {
		return false
	}
	for _, h := range m.HeaderMatches() {
		value, ok := r.Headers[strings.ToLower(h.Name)]
		if strings.EqualFold(h.Name, "host") {
			value, ok = r.Host, true
		}
		if !ok || (h.Regex != "" && !whole(h.Regex, value)) {
			return false
		}
	}
	return true
}

func whole(re, s string) bool { return regexp.MustCompile(`^(?:` + re + `)$`).MatchString(s) }
