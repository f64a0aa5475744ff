package sim

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
)

// find picks a chain as Envoy does: stage by stage, each with the most specific value that any chain left has, and without
// a way back. A stage in which nothing fits ends the search.
func (l *listener) find(to netip.AddrPort, h hello) *chain {
	h = l.inspectors.see(h, to.Port())
	left := l.chains
	for _, stage := range []func(*chain) int{
		func(c *chain) int { return fitPort(c.port, to.Port()) },
		func(c *chain) int { return fitRange(c.addrs, to.Addr()) },
		func(c *chain) int { return fitName(c.serverNames, h.sni) },
		func(c *chain) int {
			return fitWord(c.transport, map[bool]string{true: "tls", false: "raw_buffer"}[h.tls])
		},
		func(c *chain) int { return fitALPN(c.alpn, h.alpn) },
		func(c *chain) int { return fitRange(c.sources, h.from) },
	} {
		if left = best(left, stage); left == nil {
			return nil
		}
	}
	return &left[0]
}

// best keeps the chains with the highest fit; a negative fit is none.
func best(chains []chain, fit func(*chain) int) []chain {
	var out []chain
	top := 0
	for i := range chains {
		switch f := fit(&chains[i]); {
		case f < top:
		case f > top:
			top, out = f, []chain{chains[i]}
		default:
			out = append(out, chains[i])
		}
	}
	return out
}

func fitPort(want, got uint16) int {
	switch want {
	case got:
		return 1
	case 0:
		return 0
	}
	return -1
}

// fitRange is better the narrower the range. No ranges take any address.
func fitRange(ranges []netip.Prefix, a netip.Addr) int {
	if len(ranges) == 0 {
		return 0
	}
	fit := -1
	for _, r := range ranges {
		if r.Contains(a) {
			fit = max(fit, 1+r.Bits())
		}
	}
	return fit
}

// fitName prefers the exact name, then the longest wildcard, then chains that take any.
func fitName(names []string, sni string) int {
	if len(names) == 0 {
		return 0
	}
	fit := -1
	for _, n := range names {
		if n == sni {
			fit = max(fit, 1<<16)
		} else if strings.HasPrefix(n, "*.") && strings.HasSuffix(sni, n[1:]) {
			fit = max(fit, len(n))
		}
	}
	return fit
}

func fitWord(want, got string) int {
	switch want {
	case got:
		return 1
	case "":
		return 0
	}
	return -1
}

func fitALPN(want, got []string) int {
	if len(want) == 0 {
		return 0
	}
	if slices.ContainsFunc(want, func(a string) bool { return slices.Contains(got, a) }) {
		return 1
	}
	return -1
}

func readRanges(list []*corev3.CidrRange) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, r := range list {
		ip, err := netip.ParseAddr(r.AddressPrefix)
		if err != nil {
			return nil, err
		}
		out = append(out, netip.PrefixFrom(ip, int(r.GetPrefixLen().GetValue())))
	}
	return out, nil
}

// inspectors say on which ports the listener looks for TLS and for HTTP.
type inspectors struct{ tls, http func(port uint16) bool }

// see is what of a client's first words the listener takes notice of.
func (i inspectors) see(h hello, port uint16) hello {
	if h.tls && i.tls(port) || !h.tls && i.http(port) {
		return h
	}
	h.tls, h.sni, h.alpn = false, "", nil
	return h
}

func readInspectors(list []*listenerv3.ListenerFilter) (inspectors, error) {
	never := func(uint16) bool { return false }
	out := inspectors{never, never}
	for _, f := range list {
		if !strings.HasSuffix(f.Name, "_inspector") {
			continue
		}
		if err := known(f.FilterDisabled); err != nil {
			return out, err
		}
		on := func(p uint16) bool { return f.FilterDisabled == nil || !holds(f.FilterDisabled, p) }
		if strings.HasSuffix(f.Name, "tls_inspector") {
			out.tls = on
		} else {
			out.http = on
		}
	}
	return out, nil
}

func known(p *listenerv3.ListenerFilterChainMatchPredicate) error {
	switch r := p.GetRule().(type) {
	case nil, *listenerv3.ListenerFilterChainMatchPredicate_DestinationPortRange:
		return nil
	case *listenerv3.ListenerFilterChainMatchPredicate_NotMatch:
		return known(r.NotMatch)
	case *listenerv3.ListenerFilterChainMatchPredicate_OrMatch:
		for _, q := range r.OrMatch.Rules {
			if err := known(q); err != nil {
				return err
			}
		}
		return nil
	default:
		return fmt.Errorf("predicate %T is not known to the simulator", r)
	}
}

func holds(p *listenerv3.ListenerFilterChainMatchPredicate, port uint16) bool {
	switch r := p.GetRule().(type) {
	case *listenerv3.ListenerFilterChainMatchPredicate_DestinationPortRange:
		return int32(port) >= r.DestinationPortRange.Start && int32(port) < r.DestinationPortRange.End
	case *listenerv3.ListenerFilterChainMatchPredicate_NotMatch:
		return !holds(r.NotMatch, port)
	case *listenerv3.ListenerFilterChainMatchPredicate_OrMatch:
		return slices.ContainsFunc(r.OrMatch.Rules, func(q *listenerv3.ListenerFilterChainMatchPredicate) bool { return holds(q, port) })
	}
	return false
}
