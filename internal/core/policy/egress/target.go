package egress

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// refusedRanges are addresses that are never outside of the mesh: the proxy itself and what runs beside it, and the
// link, where clouds offer the node's own credentials (169.254.169.254).
var refusedRanges = []struct {
	prefix netip.Prefix
	what   string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified"},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local"},
	{netip.MustParsePrefix("::/128"), "unspecified"},
	{netip.MustParsePrefix("::1/128"), "loopback"},
	{netip.MustParsePrefix("fe80::/10"), "link-local"},
	// The same again, for a stack that takes IPv4 addresses in an IPv6 form.
	{netip.MustParsePrefix("::ffff:0.0.0.0/104"), "unspecified"},
	{netip.MustParsePrefix("::ffff:127.0.0.0/104"), "loopback"},
	{netip.MustParsePrefix("::ffff:169.254.0.0/112"), "link-local"},
}

// RefusedRanges are the ranges that no policy opens, also where it opens a wider one or any address.
func RefusedRanges() []netip.Prefix {
	out := make([]netip.Prefix, 0, len(refusedRanges))
	for _, r := range refusedRanges {
		out = append(out, r.prefix)
	}
	return out
}

// refusedNames resolve to such addresses wherever they resolve at all.
var refusedNames = []string{
	"localhost", "localhost.localdomain", "localhost4", "localhost6", "ip6-localhost", "ip6-loopback",
	"metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal",
}

// label is one part of a host name; "_" is no host name's, but is used.
var label = regexp.MustCompile(`^[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?$`)

const maxHost = 253

// parseHost returns the canonical spelling of a host: lower case, without the dot at the end, an IPv6 address in brackets.
// A wildcard "*.example.com" stays one.
func parseHost(s string) (string, error) {
	h := strings.TrimSuffix(strings.ToLower(s), ".")
	if a, err := netip.ParseAddr(strings.Trim(h, "[]")); err == nil {
		return literal(s, a)
	}
	name := strings.TrimPrefix(h, "*.")
	if name == "" || name == "*" || len(name) > maxHost {
		return "", fmt.Errorf("%q is not a host name; write a name such as www.example.com or *.example.com", s)
	}
	labels := strings.Split(name, ".")
	for _, l := range labels {
		if !label.MatchString(l) {
			return "", fmt.Errorf("%q is not a host name; write a name such as www.example.com, without scheme, port and path", s)
		}
	}
	// Resolvers take 127.1, 0x7f.1 and 2130706433 for addresses; what ends in a number is none of DNS's names.
	if last := labels[len(labels)-1]; strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") {
		return "", fmt.Errorf("%q is neither a host name nor an address; write an address in its usual form", s)
	}
	if slices.Contains(refusedNames, name) || strings.HasSuffix(name, ".localhost") {
		return "", fmt.Errorf("%q names the pod or its node and is refused; an Egress is for hosts outside of the cluster", s)
	}
	return h, nil
}

func literal(s string, a netip.Addr) (string, error) {
	if a.Zone() != "" {
		return "", fmt.Errorf("%q has a zone, so it is link-local and refused; an Egress is for hosts outside of the cluster", s)
	}
	a = a.Unmap()
	if err := refusedAddr(s, netip.PrefixFrom(a, a.BitLen())); err != nil {
		return "", err
	}
	if a.Is6() {
		return "[" + a.String() + "]", nil
	}
	return a.String(), nil
}

// parseRange returns the canonical form of a CIDR.
func parseRange(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("%q is not a CIDR; write an address and a number of bits, such as 203.0.113.0/24", s)
	}
	p = p.Masked()
	return p, refusedAddr(s, p)
}

// refusedAddr refuses a range that lies within a refused one. Of a range around a refused one that part stays closed.
func refusedAddr(s string, p netip.Prefix) error {
	for _, r := range refusedRanges {
		if r.prefix.Bits() <= p.Bits() && r.prefix.Contains(p.Addr()) {
			return fmt.Errorf("%q is %s and refused; an Egress is for hosts outside of the cluster", s, r.what)
		}
	}
	return nil
}
