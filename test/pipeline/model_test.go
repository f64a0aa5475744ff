package pipeline

import (
	"regexp"
	"slices"
	"strings"

	access "openservicemesh.io/osm/api/smi/access/v1alpha3"
	specs "openservicemesh.io/osm/api/smi/specs/v1alpha4"
	split "openservicemesh.io/osm/api/smi/split/v1alpha2"
	"openservicemesh.io/osm/internal/core/sim"
)

// policySet is the policy of a mesh. What follows reads it as its meaning is described, without any of the core's code:
// grants add up, there are no denials, what is not understood grants nothing, and a split sends calls elsewhere without
// granting anything.
type policySet struct {
	// Permissive lets everybody call everything; splits still hold.
	Permissive bool
	Groups     []*specs.HTTPRouteGroup
	Routes     []*specs.TCPRoute
	Targets    []*access.TrafficTarget
	Splits     []*split.TrafficSplit
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

// calls reports whether a grant lets an account call the account of a service, for anything at all.
func (p policySet) calls(source, service string) bool {
	return slices.ContainsFunc(p.Targets, func(t *access.TrafficTarget) bool {
		return p.grants(t) && slices.Contains(sourcesOf(t), source) && t.Spec.Destination.Name == service
	})
}

// reaches reports whether calls of an account to a service leave its pod: some account behind it, or behind a backend of
// its split, grants something.
func (p policySet) reaches(source, service string) bool {
	if p.calls(source, service) {
		return true
	}
	o := p.splitOf(service)
	return o != nil && slices.ContainsFunc(o.Spec.Backends, func(b split.TrafficSplitBackend) bool {
		return slices.Contains(modelServices, b.Service) && b.Weight >= 0 && p.calls(source, b.Service)
	})
}

// splitOf is the split of a service that is in force: the first that can be.
func (p policySet) splitOf(service string) *split.TrafficSplit {
	for _, o := range p.Splits {
		name, zone, _ := strings.Cut(o.Spec.Service, ".")
		sum := 0
		for _, b := range o.Spec.Backends {
			if slices.Contains(modelServices, b.Service) && b.Weight > 0 {
				sum += b.Weight
			}
		}
		if o.Namespace == "shop" && name == service && slices.Contains([]string{"", "shop", "shop.svc", "shop.svc.cluster.local"}, zone) && sum > 0 {
			return o
		}
	}
	return nil
}

// leaf is the service whose pods take a call: that which is called, or a backend of its split.
func (p policySet) leaf(c modelCall) string {
	o := p.splitOf(c.to)
	if o == nil || !p.isSplit(o, c.req) {
		return c.to
	}
	pick := int(p.picks(c))
	for _, service := range modelServices { // in the order of their names
		for _, b := range o.Spec.Backends {
			if b.Service != service || b.Weight <= 0 {
				continue
			}
			if pick < b.Weight {
				return service
			}
			pick -= b.Weight
		}
	}
	return c.to
}

// picks is the number by which a call's backend is chosen: below the sum of the weights.
func (p policySet) picks(c modelCall) uint32 {
	o := p.splitOf(c.to)
	if o == nil {
		return 0
	}
	sum := 0
	for _, b := range o.Spec.Backends {
		if slices.Contains(modelServices, b.Service) {
			sum += max(b.Weight, 0)
		}
	}
	return c.pick % uint32(sum)
}

// isSplit reports whether a split is about a call: about every one, or if it has matches, about requests that fit one.
func (p policySet) isSplit(o *split.TrafficSplit, req *sim.Request) bool {
	if len(o.Spec.Matches) == 0 {
		return true
	}
	return req != nil && slices.ContainsFunc(o.Spec.Matches, func(m split.TrafficSplitMatch) bool {
		return m.Kind == "HTTPRouteGroup" && slices.ContainsFunc(p.Groups, func(g *specs.HTTPRouteGroup) bool {
			return g.Namespace == o.Namespace && g.Name == m.Name &&
				slices.ContainsFunc(g.Spec.Matches, func(m specs.HTTPMatch) bool { return understood(m) && fits(m, *req) })
		})
	})
}

// judge says how a call ends, as a caller sees it.
func (p policySet) judge(c modelCall) string {
	source, leaf, failed := c.from.String(), p.leaf(c), "reset"
	if c.req != nil {
		failed = "answered 503"
	}
	switch {
	case !p.Permissive && !slices.ContainsFunc(modelServices, func(s string) bool { return p.reaches(source, s) }):
		return "refused"
	case !p.Permissive && !p.reaches(source, c.to):
		return "reset"
	case !p.Permissive && c.req == nil && c.port == undeclaredPort && !p.sendsBytes(source, c.to, int(c.port)):
		return "answered 404" // they are taken for requests
	case leaf == modelRoot: // nobody is there
		return failed
	case p.Permissive && c.req != nil:
		return "answered 200"
	case p.Permissive:
		return "connected"
	}
	return p.judgeAt(source, leaf, int(c.port), c.req, failed)
}

// sendsBytes reports whether a grant lets an account send what is no request to a port that declares nothing.
func (p policySet) sendsBytes(source, service string, port int) bool {
	return slices.ContainsFunc(p.Targets, func(t *access.TrafficTarget) bool {
		return p.grants(t) && slices.Contains(sourcesOf(t), source) && t.Spec.Destination.Name == service && p.admitsBytes(t, port)
	})
}

// judgeAt says how a call ends that has come to the pods of a service.
func (p policySet) judgeAt(source, service string, port int, req *sim.Request, failed string) string {
	var connects, routed, allowed bool
	for _, t := range p.Targets {
		if !p.grants(t) || t.Spec.Destination.Name != service {
			continue
		}
		mine := slices.Contains(sourcesOf(t), source)
		connects = connects || mine && p.admitsConnection(t, port, req != nil)
		if req != nil && slices.ContainsFunc(p.matchesOf(t), func(m specs.HTTPMatch) bool { return fits(m, *req) }) {
			routed, allowed = true, allowed || mine
		}
	}
	switch {
	case !connects:
		return failed
	case req == nil:
		return "connected"
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
