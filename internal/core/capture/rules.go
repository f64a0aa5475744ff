package capture

import (
	"net/netip"
	"slices"

	"openservicemesh.io/osm/internal/core/names"
)

// Family is an IP version.
type Family string

// The families. Each has rules of its own, for an address belongs to one.
const (
	IPv4 Family = "ip"
	IPv6 Family = "ip6"
)

// Names of the chains.
const (
	ChainInbound  = "OSM_PROXY_INBOUND"
	ChainOutbound = "OSM_PROXY_OUTBOUND"
	ChainGuard    = "OSM_PROXY_GUARD"
)

// ActionKind is what happens to a connection a rule matches.
type ActionKind string

// The actions. All of them end the evaluation.
const (
	// Pass leaves the connection alone.
	Pass ActionKind = "pass"
	// Redirect sends it to a port of this pod.
	Redirect ActionKind = "redirect"
	// Rewrite changes its destination address and keeps the port.
	Rewrite ActionKind = "rewrite"
)

// Action is a verdict with its argument.
type Action struct {
	Kind ActionKind
	// Port is the redirection's target.
	Port uint16
	// Addr is the rewritten destination.
	Addr netip.Addr
}

// UIDMatch compares the user that owns the socket with the sidecar's.
type UIDMatch string

// The owner matches; empty does not look.
const (
	IsSidecar  UIDMatch = "sidecar"
	NotSidecar UIDMatch = "not sidecar"
)

// Rule matches when all its set conditions do.
type Rule struct {
	// Why is one line for a reader of the ruleset.
	Why string
	// InInterface and OutInterface are names; a trailing "+" stands for any rest.
	InInterface, OutInterface string
	UID                       UIDMatch
	// Dst must hold the destination; NotDst must not.
	Dst, NotDst netip.Prefix
	// Ports is the set of destination ports; empty is any.
	Ports []uint16
	// NotPorts is the set of destination ports the rule does not match.
	NotPorts []uint16
	Action   Action
}

// Rules are the ordered rules of one family; the first match decides, and what no rule matches passes.
type Rules struct {
	Family Family
	// Inbound rules judge connections that enter the pod.
	Inbound []Rule
	// Outbound rules judge connections that processes of the pod open.
	Outbound []Rule
	// Guarded are the let-through ports on which nobody but the sidecar may answer a caller from outside the pod. An
	// application that binds one of them, before the sidecar or instead of it, is not heard.
	Guarded []uint16
}

// Build returns the rules of one family. podIP is the pod's address of that family and needed in PodIP mode only;
// without one, nothing is rewritten.
func Build(c Config, f Family, podIP netip.Addr) Rules {
	return Rules{Family: f, Inbound: inbound(c), Outbound: outbound(c, f, podIP), Guarded: guarded(c)}
}

// guarded leaves out the health-check helper's port, which runs as another user.
func guarded(c Config) []uint16 {
	var out []uint16
	for _, p := range c.SidecarPorts {
		if p != names.PortHealthcheck && !slices.Contains(c.InboundPorts, p) {
			out = append(out, p)
		}
	}
	return out
}

// inbound lets through what is excluded and the sidecar's own ports; all else meets the sidecar.
func inbound(c Config) []Rule {
	var rules []Rule
	for _, i := range c.Interfaces {
		rules = append(rules, Rule{Why: "excluded interface", InInterface: i, Action: Action{Kind: Pass}})
	}
	if len(c.InboundPorts) > 0 {
		rules = append(rules, Rule{Why: "excluded ports", Ports: c.InboundPorts, Action: Action{Kind: Pass}})
	}
	if len(c.SidecarPorts) > 0 {
		rules = append(rules, Rule{Why: "the sidecar's own ports in use", Ports: c.SidecarPorts, Action: Action{Kind: Pass}})
	}
	return append(rules, Rule{Why: "everything else", Action: Action{Kind: Redirect, Port: inboundListener}})
}

func outbound(c Config, f Family, podIP netip.Addr) []Rule {
	lo := loopback(f)
	var rules []Rule
	if c.PodIPMode && podIP.IsValid() {
		// The sidecar's admin port stays: it is bound to the loopback only.
		rules = append(rules, Rule{
			Why: "the sidecar reaches its application on the pod's address", OutInterface: "lo", UID: IsSidecar, Dst: lo,
			NotPorts: []uint16{names.PortEnvoyAdmin}, Action: Action{Kind: Rewrite, Addr: podIP},
		})
	}
	rules = append(rules,
		Rule{Why: "the sidecar calls its own pod through a service", OutInterface: "lo", UID: IsSidecar, NotDst: lo, Action: Action{Kind: Redirect, Port: inboundListener}},
		Rule{Why: "the application talks to itself", OutInterface: "lo", UID: NotSidecar, Action: Action{Kind: Pass}},
		Rule{Why: "the sidecar's own connections", UID: IsSidecar, Action: Action{Kind: Pass}},
		Rule{Why: "the loopback", Dst: lo, Action: Action{Kind: Pass}},
	)
	for _, i := range c.Interfaces {
		rules = append(rules, Rule{Why: "excluded interface", OutInterface: i, Action: Action{Kind: Pass}})
	}
	for _, p := range ofFamily(c.OutboundRanges, f) {
		rules = append(rules, Rule{Why: "excluded range", Dst: p, Action: Action{Kind: Pass}})
	}
	if len(c.OutboundPorts) > 0 {
		rules = append(rules, Rule{Why: "excluded ports", Ports: c.OutboundPorts, Action: Action{Kind: Pass}})
	}
	capture := Action{Kind: Redirect, Port: outboundListener}
	if len(c.OutboundRangesOnly) == 0 {
		return append(rules, Rule{Why: "everything else", Action: capture})
	}
	for _, p := range ofFamily(c.OutboundRangesOnly, f) {
		rules = append(rules, Rule{Why: "included range", Dst: p, Action: capture})
	}
	return append(rules, Rule{Why: "not in an included range", Action: Action{Kind: Pass}})
}

func loopback(f Family) netip.Prefix {
	if f == IPv6 {
		return netip.PrefixFrom(netip.IPv6Loopback(), 128)
	}
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 32)
}

func ofFamily(ps []netip.Prefix, f Family) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range ps {
		if p.Addr().Is4() == (f == IPv4) {
			out = append(out, p.Masked())
		}
	}
	return out
}
