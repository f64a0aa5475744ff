// Package traffictarget compiles TrafficTarget objects (access.smi-spec.io/v1alpha3). Input: the objects and a way to
// look up the routes they name. Output: grants (who may call whom, how) and findings. It imports the api types, meshid,
// snapshot and ir; no other policy kind.
package traffictarget

import (
	"fmt"
	"slices"

	access "openservicemesh.io/osm/api/smi/access/v1alpha3"
	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// Kind is the kind this package compiles.
const Kind = "TrafficTarget"

// Grant lets some identities call one identity. Grants only ever add up.
type Grant struct {
	// Name is "<namespace>/<name>" of the TrafficTarget.
	Name        string
	Destination meshid.Identity
	// Sources are sorted.
	Sources []meshid.Identity
	// HTTP are the requests granted on HTTP ports, sorted.
	HTTP []ir.RouteMatch
	// TCPPorts are the target ports granted by TCPRoutes, sorted. With AnyPort every port is granted.
	TCPPorts []uint16
	AnyPort  bool
	// Requests is whether rules of the target are about requests, be they usable or not.
	Requests bool
}

// Lookup finds the routes a rule names, in the TrafficTarget's own namespace. The bool is false when the object does
// not exist.
type Lookup struct {
	// Match returns the request matches of one named match of a route group; nil when the group lacks it.
	Match func(namespace, group, match string) ([]ir.RouteMatch, bool)
	// Ports returns the ports of a TCPRoute; empty means every port.
	Ports func(namespace, name string) ([]uint16, bool)
}

// Compile compiles every object, in order. What cannot be compiled grants nothing and is reported.
func Compile(objects []*access.TrafficTarget, lookup Lookup) ([]Grant, []snapshot.Finding) {
	var grants []Grant
	var findings []snapshot.Finding
	for _, o := range objects {
		c := compiler{object: o, lookup: lookup}
		if g, ok := c.compile(); ok {
			grants = append(grants, g)
		}
		findings = append(findings, c.findings...)
	}
	return grants, findings
}

type compiler struct {
	object   *access.TrafficTarget
	lookup   Lookup
	findings []snapshot.Finding
}

func (c *compiler) report(s snapshot.Severity, code, reason, format string, args ...any) {
	c.findings = append(c.findings, snapshot.Finding{
		Object:   snapshot.ObjectRef{Kind: Kind, Namespace: c.object.Namespace, Name: c.object.Name},
		Severity: s, Code: code, Reason: reason, Message: fmt.Sprintf(format, args...)})
}

func (c *compiler) compile() (Grant, bool) {
	o := c.object
	dst, ok := c.destination()
	if !ok {
		return Grant{}, false
	}
	g := Grant{Name: o.Namespace + "/" + o.Name, Destination: dst, Sources: c.sources()}
	if len(o.Spec.Rules) == 0 {
		c.report(snapshot.Error, "", "NoRules", "spec.rules is empty, so nothing is granted; name an HTTPRouteGroup or a TCPRoute")
		return Grant{}, false
	}
	tcpRules, compiled := 0, 0
	for i, r := range o.Spec.Rules {
		switch r.Kind {
		case access.KindHTTPRouteGroup:
			g.Requests = true
			compiled += c.httpRule(&g, i, r)
		case access.KindTCPRoute:
			tcpRules++
			compiled += c.tcpRule(&g, i, r)
		default:
			c.report(snapshot.Warning, "", "UnsupportedRule",
				"spec.rules[%d].kind: %q has no effect; use HTTPRouteGroup or TCPRoute", i, r.Kind)
		}
	}
	if compiled == 0 || len(g.Sources) == 0 {
		return Grant{}, false
	}
	// Without a TCPRoute the target's ports are not limited. A TCPRoute that is missing must not widen the grant.
	g.AnyPort = g.AnyPort || tcpRules == 0
	slices.SortFunc(g.HTTP, ir.CompareRouteMatch)
	g.HTTP = slices.CompactFunc(g.HTTP, ir.EqualRouteMatch)
	slices.Sort(g.TCPPorts)
	g.TCPPorts = slices.Compact(g.TCPPorts)
	return g, true
}

func (c *compiler) destination() (meshid.Identity, bool) {
	d := c.object.Spec.Destination
	if d.Kind != access.KindServiceAccount {
		c.report(snapshot.Error, "E2010", "InvalidDestination",
			"spec.destination.kind: %q is not supported; use ServiceAccount", d.Kind)
		return meshid.Identity{}, false
	}
	if d.Namespace != c.object.Namespace {
		c.report(snapshot.Error, "", "InvalidDestination",
			"The traffic target namespace (%s) must match spec.Destination.Namespace (%s)", c.object.Namespace, d.Namespace)
		return meshid.Identity{}, false
	}
	if d.Name == "" {
		c.report(snapshot.Error, "", "InvalidDestination", "spec.destination.name is empty; name a ServiceAccount")
		return meshid.Identity{}, false
	}
	return meshid.Identity{Namespace: d.Namespace, ServiceAccount: d.Name}, true
}

func (c *compiler) sources() []meshid.Identity {
	var out []meshid.Identity
	for i, s := range c.object.Spec.Sources {
		if s.Kind != access.KindServiceAccount {
			c.report(snapshot.Error, "E2011", "InvalidSource",
				"spec.sources[%d].kind: %q is not supported; use ServiceAccount. The source is ignored", i, s.Kind)
			continue
		}
		if s.Namespace == "" || s.Name == "" {
			c.report(snapshot.Error, "E2011", "InvalidSource",
				"spec.sources[%d]: name %q and namespace %q must both be set. The source is ignored", i, s.Name, s.Namespace)
			continue
		}
		out = append(out, meshid.Identity{Namespace: s.Namespace, ServiceAccount: s.Name})
	}
	if len(out) == 0 {
		c.report(snapshot.Error, "E2011", "NoSources", "spec.sources names no ServiceAccount, so nothing is granted")
	}
	slices.SortFunc(out, meshid.Identity.Compare)
	return slices.Compact(out)
}

// httpRule adds the matches a rule names and returns how many of them exist.
func (c *compiler) httpRule(g *Grant, i int, r access.TrafficTargetRule) int {
	if len(r.Matches) == 0 {
		c.report(snapshot.Error, "E2006", "NoMatches",
			"spec.rules[%d].matches is empty, so HTTPRouteGroup %q grants nothing; name its matches", i, r.Name)
		return 0
	}
	found := 0
	for _, name := range r.Matches {
		matches, ok := c.lookup.Match(c.object.Namespace, r.Name, name)
		if !ok {
			c.report(snapshot.Error, "E2005", "RouteGroupNotFound",
				"spec.rules[%d].name: HTTPRouteGroup %s/%s does not exist", i, c.object.Namespace, r.Name)
			return 0
		}
		if len(matches) == 0 {
			c.report(snapshot.Error, "E2006", "MatchNotFound",
				"spec.rules[%d].matches: HTTPRouteGroup %s/%s has no usable match %q", i, c.object.Namespace, r.Name, name)
			continue
		}
		found++
		g.HTTP = append(g.HTTP, matches...)
	}
	return found
}

// tcpRule adds the ports a rule names and returns 1 if its TCPRoute exists.
func (c *compiler) tcpRule(g *Grant, i int, r access.TrafficTargetRule) int {
	ports, ok := c.lookup.Ports(c.object.Namespace, r.Name)
	if !ok {
		c.report(snapshot.Error, "", "TCPRouteNotFound",
			"spec.rules[%d].name: TCPRoute %s/%s does not exist or names no usable port", i, c.object.Namespace, r.Name)
		return 0
	}
	if len(ports) == 0 {
		g.AnyPort = true
	}
	g.TCPPorts = append(g.TCPPorts, ports...)
	return 1
}
