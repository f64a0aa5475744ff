package egress

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	policyv1 "openservicemesh.io/osm/api/policy/v1alpha1"
	specs "openservicemesh.io/osm/api/smi/specs/v1alpha4"
	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// Policy is what one object opens.
type Policy struct {
	// Object is whose it is, for findings.
	Object snapshot.ObjectRef
	// Sources are sorted.
	Sources []meshid.Identity
	// Hosts are canonical and sorted; none means any, for https.
	Hosts []string
	// Ranges are sorted; none means any address.
	Ranges []netip.Prefix
	Ports  []Port
	// Requests limit the http ports, sorted; nil means every request, an empty list none.
	Requests []ir.RouteMatch
	Limits   *ir.Limits
}

// Port is a port and what is spoken there: ir.HTTP, HTTPS, TCP or TCPServerFirst.
type Port struct {
	Number   uint16
	Protocol meshid.Protocol
}

// Lookup finds what an object refers to, and whose word counts for whom.
type Lookup struct {
	// Requests returns every request of a route group; false when there is no such group.
	Requests func(namespace, group string) ([]ir.RouteMatch, bool)
	// Limits returns the connection settings of an UpstreamTrafficSetting; false when there is none of that name. The
	// error says what is wrong with it.
	Limits func(namespace, name string) (*ir.Limits, bool, error)
	// MeshNamespace is the control plane's: its objects may speak for the accounts of every namespace, others only for
	// those of their own.
	MeshNamespace string
	// Node reports whether an address is one of the cluster's nodes'.
	Node func(netip.Addr) bool
	// Service reports whether the mesh has a service.
	Service func(meshid.Service) bool
}

// Compile compiles every object, in order. What cannot be compiled opens nothing and is reported.
func Compile(objects []*policyv1.Egress, lookup Lookup) ([]Policy, []snapshot.Finding) {
	var out []Policy
	var findings []snapshot.Finding
	for _, o := range objects {
		c := compiler{object: o, lookup: lookup}
		if p, ok := c.compile(); ok {
			out = append(out, p)
		}
		findings = append(findings, c.findings...)
	}
	return out, findings
}

type compiler struct {
	object   *policyv1.Egress
	lookup   Lookup
	findings []snapshot.Finding
}

func (c *compiler) ref() snapshot.ObjectRef {
	return snapshot.ObjectRef{Kind: Kind, Namespace: c.object.Namespace, Name: c.object.Name}
}

func (c *compiler) report(s snapshot.Severity, code, reason, format string, args ...any) {
	c.findings = append(c.findings, snapshot.Finding{
		Object: c.ref(), Severity: s, Code: code, Reason: reason, Message: fmt.Sprintf(format, args...)})
}

func (c *compiler) compile() (Policy, bool) {
	p := Policy{Object: c.ref(), Sources: c.sources()}
	hosts, ok := c.hosts()
	ranges, ok2 := c.ranges()
	for _, w := range Warnings(c.object, c.lookup.Service) {
		c.report(snapshot.Warning, "", "NoEffect", "%s", w)
	}
	if !ok || !ok2 || len(p.Sources) == 0 {
		return p, false
	}
	p.Hosts, p.Ranges, p.Ports = hosts, ranges, c.ports(hosts)
	if !c.matches(&p) {
		return p, false
	}
	return p, len(p.Ports) > 0
}

func (c *compiler) sources() []meshid.Identity {
	var out []meshid.Identity
	for i, s := range c.object.Spec.Sources {
		switch {
		case s.Kind != policyv1.KindServiceAccount:
			c.report(snapshot.Error, "", "InvalidSource", "spec.sources[%d].kind: %q is not supported; use ServiceAccount. The source is ignored", i, s.Kind)
		case s.Name == "" || s.Namespace == "":
			c.report(snapshot.Error, "", "InvalidSource", "spec.sources[%d]: name %q and namespace %q must both be set. The source is ignored", i, s.Name, s.Namespace)
		case s.Namespace != c.object.Namespace && c.object.Namespace != c.lookup.MeshNamespace:
			c.report(snapshot.Error, "", "ForeignSource",
				"spec.sources[%d].namespace: an object in namespace %s cannot open destinations for accounts of namespace %s; create it there, or in the control plane's namespace. The source is ignored",
				i, c.object.Namespace, s.Namespace)
		default:
			out = append(out, meshid.Identity{Namespace: s.Namespace, ServiceAccount: s.Name})
		}
	}
	if len(out) == 0 {
		c.report(snapshot.Error, "", "NoSources", "spec.sources names no usable ServiceAccount, so nothing is opened")
	}
	slices.SortFunc(out, meshid.Identity.Compare)
	return slices.Compact(out)
}

// hosts returns false when hosts are given but none is usable: that must not turn into "any".
func (c *compiler) hosts() ([]string, bool) {
	var out []string
	for i, s := range c.object.Spec.Hosts {
		h, err := parseHost(s)
		if err == nil {
			err = c.notANode(s, strings.Trim(h, "[]"))
		}
		if err != nil {
			c.report(snapshot.Error, "", "InvalidHost", "spec.hosts[%d]: %v", i, err)
			continue
		}
		out = append(out, h)
	}
	slices.Sort(out)
	return slices.Compact(out), len(out) > 0 || len(c.object.Spec.Hosts) == 0
}

func (c *compiler) ranges() ([]netip.Prefix, bool) {
	var out []netip.Prefix
	for i, s := range c.object.Spec.IPAddresses {
		p, err := parseRange(s)
		if err == nil && p.IsSingleIP() {
			err = c.notANode(s, p.Addr().String())
		}
		if err != nil {
			c.report(snapshot.Error, "E2002", "InvalidIPRange", "spec.ipAddresses[%d]: %v", i, err)
			continue
		}
		out = append(out, p)
	}
	slices.SortFunc(out, comparePrefixes)
	return slices.Compact(out), len(out) > 0 || len(c.object.Spec.IPAddresses) == 0
}

func (c *compiler) notANode(spelling, s string) error {
	if a, err := netip.ParseAddr(s); err == nil && c.lookup.Node(a) {
		return fmt.Errorf("%q is the address of a node of the cluster and refused; an Egress is for hosts outside of the cluster", spelling)
	}
	return nil
}

func (c *compiler) ports(hosts []string) []Port {
	var out []Port
	for i, s := range c.object.Spec.Ports {
		p := Port{Number: uint16(s.Number), Protocol: meshid.Protocol(strings.ToLower(s.Protocol))}
		switch {
		case s.Number < 1 || s.Number > 65535:
			c.report(snapshot.Error, "", "InvalidPort", "spec.ports[%d].number: %d is not between 1 and 65535. The port is ignored", i, s.Number)
			continue
		case !slices.Contains([]meshid.Protocol{meshid.HTTP, ir.HTTPS, meshid.TCP, meshid.TCPServerFirst}, p.Protocol):
			c.report(snapshot.Error, "", "InvalidPort", "spec.ports[%d].protocol: %q is not supported; use http, https, tcp or tcp-server-first. The port is ignored", i, s.Protocol)
			continue
		case p.Protocol == meshid.HTTP && len(named(hosts)) == 0:
			c.report(snapshot.Error, "", "NoHosts", "spec.hosts: port %d speaks http and needs the names of hosts to call; wildcards are for https. The port is ignored", s.Number)
			continue
		case p.Protocol == meshid.HTTP && len(named(hosts)) < len(hosts):
			c.report(snapshot.Warning, "", "WildcardHost", "spec.hosts: wildcards are for https; on port %d, which speaks http, they have no effect", s.Number)
		}
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// named leaves wildcards out: they cannot be resolved.
func named(hosts []string) []string {
	return slices.DeleteFunc(slices.Clone(hosts), func(h string) bool { return strings.HasPrefix(h, "*") })
}

// matches reads spec.matches; false when one of them is of no use, since without it the object would open more than its
// author meant.
func (c *compiler) matches(p *Policy) bool {
	ok, settings := true, 0
	for i, m := range c.object.Spec.Matches {
		switch {
		case m.Kind == specs.KindHTTPRouteGroup && m.APIGroup == specs.GroupVersion.String():
			ok = c.routes(p, i, m.Name) && ok
		case m.Kind == policyv1.KindUpstreamTrafficSetting && m.APIGroup == policyv1.GroupVersion.String():
			if settings++; settings > 1 {
				c.report(snapshot.Error, "E2003", "InvalidMatch", "spec.matches[%d]: Cannot have more than 1 UpstreamTrafficSetting match; the first one counts", i)
				continue
			}
			c.limits(p, i, m.Name)
		default:
			c.report(snapshot.Error, "E2003", "InvalidMatch",
				"spec.matches[%d]: kind %q of %q is not supported; use HTTPRouteGroup of %s or UpstreamTrafficSetting of %s. The object is ignored",
				i, m.Kind, m.APIGroup, specs.GroupVersion, policyv1.GroupVersion)
			ok = false
		}
	}
	slices.SortFunc(p.Requests, ir.CompareRouteMatch)
	p.Requests = slices.CompactFunc(p.Requests, ir.EqualRouteMatch)
	return ok
}

func (c *compiler) routes(p *Policy, i int, group string) bool {
	if p.Requests == nil {
		p.Requests = []ir.RouteMatch{}
	}
	requests, ok := c.lookup.Requests(c.object.Namespace, group)
	if !ok {
		c.report(snapshot.Error, "E2004", "RouteGroupNotFound",
			"spec.matches[%d].name: HTTPRouteGroup %s/%s does not exist; nothing is opened until it does", i, c.object.Namespace, group)
		return false
	}
	if len(requests) == 0 {
		c.report(snapshot.Error, "E2006", "NoMatches", "spec.matches[%d].name: HTTPRouteGroup %s/%s has no usable match, so it allows no request", i, c.object.Namespace, group)
	}
	p.Requests = append(p.Requests, requests...)
	return true
}

// limits reads a setting. One that is missing or unreadable leaves the destination open, without limits: limits protect,
// they do not permit.
func (c *compiler) limits(p *Policy, i int, name string) {
	l, ok, err := c.lookup.Limits(c.object.Namespace, name)
	switch {
	case !ok:
		c.report(snapshot.Warning, "", "SettingNotFound", "spec.matches[%d].name: UpstreamTrafficSetting %s/%s does not exist; nothing is limited", i, c.object.Namespace, name)
	case err != nil:
		c.report(snapshot.Warning, "", "InvalidSetting", "spec.matches[%d].name: UpstreamTrafficSetting %s/%s: %v; nothing is limited", i, c.object.Namespace, name, err)
	default:
		p.Limits = l
	}
}
