package egress

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"

	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// Destination is what one identity may reach on one port, by all policies together.
type Destination struct {
	Port uint16
	// Hosts are for http, sorted.
	Hosts []Host
	// Openings say which connections are taken; that for any address stands first.
	Openings []Opening
	// Limits are those of every protocol but http.
	Limits *ir.Limits
}

// Host is a host that is called by http.
type Host struct {
	Name string
	// Requests are what may be asked, sorted; nil means everything.
	Requests []ir.RouteMatch
	Limits   *ir.Limits
}

// Opening is a set of destination ranges and what may be spoken with them. The ranges of a port's openings do not repeat,
// and an opening for a narrow range says all that one for a wider range around it says: the narrowest range alone decides.
type Opening struct {
	// Ranges are sorted; none means any address that no other opening names.
	Ranges []netip.Prefix
	HTTP   bool
	// HTTPS is for any server name, or, if there are ServerNames, for those (sorted).
	HTTPS       bool
	ServerNames []string
	// TCP is "" (no), tcp or tcp-server-first.
	TCP meshid.Protocol
}

// Merge puts the policies of every identity together, by port number. Policies that contradict each other are reported, and
// the first one, in order, counts.
func Merge(policies []Policy) (map[meshid.Identity][]Destination, []snapshot.Finding) {
	ports := map[meshid.Identity]map[uint16]*merged{}
	var findings []snapshot.Finding
	for _, p := range policies {
		for _, src := range p.Sources {
			if ports[src] == nil {
				ports[src] = map[uint16]*merged{}
			}
			for _, port := range p.Ports {
				m := ports[src][port.Number]
				if m == nil {
					m = &merged{port: port.Number, hosts: map[string]*Host{}}
					ports[src][port.Number] = m
				}
				findings = append(findings, m.add(p, port.Protocol)...)
			}
		}
	}
	out := map[meshid.Identity][]Destination{}
	for id, byPort := range ports {
		for _, number := range slices.Sorted(maps.Keys(byPort)) {
			out[id] = append(out[id], byPort[number].destination())
		}
	}
	return out, snapshot.SortFindings(findings)
}

// rule is one policy's word about one port.
type rule struct {
	protocol meshid.Protocol
	ranges   []netip.Prefix
	hosts    []string
}

// covers reports whether a rule speaks of every address of a range; the zero range is any address.
func (r rule) covers(p netip.Prefix) bool {
	return len(r.ranges) == 0 || p.IsValid() && slices.ContainsFunc(r.ranges, func(q netip.Prefix) bool {
		return q.Bits() <= p.Bits() && q.Contains(p.Addr())
	})
}

type merged struct {
	port   uint16
	rules  []rule
	hosts  map[string]*Host
	limits *ir.Limits
}

// inspected reports whether a protocol is told apart by a connection's first bytes.
func inspected(p meshid.Protocol) bool { return p == meshid.HTTP || p == ir.HTTPS }

func (m *merged) add(p Policy, protocol meshid.Protocol) []snapshot.Finding {
	for _, r := range m.rules {
		if r.protocol == meshid.TCPServerFirst && inspected(protocol) || inspected(r.protocol) && protocol == meshid.TCPServerFirst {
			return []snapshot.Finding{{Object: p.Object, Severity: snapshot.Error, Code: "E2000", Reason: "ProtocolConflict", Message: fmt.Sprintf(
				"spec.ports: port %d speaks %s here and %s in another Egress of the same source; a server that speaks first cannot share a port with http or https. The port is ignored",
				m.port, protocol, r.protocol)}}
		}
	}
	if protocol == meshid.HTTP {
		m.rules = append(m.rules, rule{protocol: protocol})
		return m.addHosts(p)
	}
	m.rules = append(m.rules, rule{protocol: protocol, ranges: p.Ranges, hosts: p.Hosts})
	switch {
	case m.limits == nil:
		m.limits = p.Limits
	case p.Limits != nil && !equalLimits(m.limits, p.Limits):
		return m.conflict(p, fmt.Sprint(m.port))
	}
	return nil
}

func (m *merged) addHosts(p Policy) []snapshot.Finding {
	var findings []snapshot.Finding
	for _, name := range named(p.Hosts) {
		h := m.hosts[name]
		if h == nil {
			m.hosts[name] = &Host{Name: name, Requests: slices.Clone(p.Requests), Limits: p.Limits}
			continue
		}
		switch {
		case h.Requests == nil || p.Requests == nil:
			h.Requests = nil
		default:
			h.Requests = append(h.Requests, p.Requests...)
			slices.SortFunc(h.Requests, ir.CompareRouteMatch)
			h.Requests = slices.CompactFunc(h.Requests, ir.EqualRouteMatch)
		}
		switch {
		case h.Limits == nil:
			h.Limits = p.Limits
		case p.Limits != nil && !equalLimits(h.Limits, p.Limits):
			findings = append(findings, m.conflict(p, fmt.Sprintf("%s:%d", name, m.port))...)
		}
	}
	return findings
}

func (m *merged) conflict(p Policy, cluster string) []snapshot.Finding {
	return []snapshot.Finding{{Object: p.Object, Severity: snapshot.Warning, Code: "E2001", Reason: "LimitsConflict", Message: fmt.Sprintf(
		"spec.matches: another Egress of the same source limits %s otherwise; the limits of the first one, by namespace and name, count", cluster)}}
}

func equalLimits(a, b *ir.Limits) bool { return reflect.DeepEqual(a, b) }

func (m *merged) destination() Destination {
	d := Destination{Port: m.port, Limits: m.limits}
	for _, name := range slices.Sorted(maps.Keys(m.hosts)) {
		d.Hosts = append(d.Hosts, *m.hosts[name])
	}
	for _, p := range m.distinctRanges() {
		o, some := m.opening(p)
		if !some {
			continue
		}
		i := slices.IndexFunc(d.Openings, func(q Opening) bool {
			return p.IsValid() && len(q.Ranges) > 0 && q.HTTP == o.HTTP && q.HTTPS == o.HTTPS && q.TCP == o.TCP && slices.Equal(q.ServerNames, o.ServerNames)
		})
		switch {
		case i >= 0:
			d.Openings[i].Ranges = append(d.Openings[i].Ranges, p)
		case p.IsValid():
			o.Ranges = []netip.Prefix{p}
			d.Openings = append(d.Openings, o)
		default:
			d.Openings = append(d.Openings, o)
		}
	}
	return d
}

// distinctRanges lists the ranges of all rules, sorted, and first the zero range for any address.
func (m *merged) distinctRanges() []netip.Prefix {
	var out []netip.Prefix
	for _, r := range m.rules {
		out = append(out, r.ranges...)
	}
	slices.SortFunc(out, comparePrefixes)
	return append([]netip.Prefix{{}}, slices.Compact(out)...)
}

// opening is what all rules together say about a range.
func (m *merged) opening(p netip.Prefix) (o Opening, some bool) {
	anyName := false
	for _, r := range m.rules {
		if !r.covers(p) {
			continue
		}
		some = true
		switch r.protocol {
		case meshid.HTTP:
			o.HTTP = true
		case ir.HTTPS:
			o.HTTPS = true
			anyName = anyName || len(r.hosts) == 0
			o.ServerNames = append(o.ServerNames, r.hosts...)
		default:
			// Where both are said, a server may speak first.
			o.TCP = max(o.TCP, r.protocol)
		}
	}
	slices.Sort(o.ServerNames)
	o.ServerNames = slices.Compact(o.ServerNames)
	if anyName {
		o.ServerNames = nil
	}
	return o, some
}

func comparePrefixes(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}
