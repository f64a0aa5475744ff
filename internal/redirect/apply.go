package redirect

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"

	"openservicemesh.io/osm/internal/core/capture"
)

// Table is the name of the table in both families.
const Table = "osm"

// Report says what Apply did.
type Report struct {
	// Rules programmed for each family.
	IPv4, IPv6 int
	// IPv6Blocked: the kernel cannot redirect IPv6, the pod has no IPv6 address that leads anywhere, and IPv6
	// connections are refused.
	IPv6Blocked bool
}

// Apply replaces the pod's redirection.
//
// No IPv6 connection ever slips past: where the kernel cannot redirect IPv6, a pod with a routable IPv6 address is an
// error, one with link-local addresses only has its IPv6 connections refused, and one without IPv6 has none to redirect.
func Apply(cfg capture.Config, podIPs []netip.Addr) (Report, error) {
	if err := cfg.Validate(); err != nil {
		return Report{}, err
	}
	v4 := capture.Build(cfg, capture.IPv4, first(podIPs, capture.IPv4))
	v6 := capture.Build(cfg, capture.IPv6, first(podIPs, capture.IPv6))

	both := func(b *batch) { b.redirect(v4); b.redirect(v6) }
	err6 := transact(both)
	if err6 == nil {
		return Report{IPv4: count(v4), IPv6: count(v6)}, nil
	}
	if err := transact(func(b *batch) { b.redirect(v4) }); err != nil {
		return Report{}, explain(err)
	}
	scope, err := ipv6Scope()
	if err != nil {
		return Report{}, fmt.Errorf("list this pod's IPv6 addresses: %w", err)
	}
	return withoutRedirect6(scope, count(v4), err6)
}

// withoutRedirect6 decides what becomes of IPv6 that cannot be redirected.
func withoutRedirect6(s scope, rules4 int, cause error) (Report, error) {
	if s == scopeGlobal {
		return Report{}, fmt.Errorf("this pod has a routable IPv6 address, but the node's kernel cannot redirect IPv6 (%w): "+
			"connections over IPv6 would bypass the mesh; load the kernel module nft_chain_nat (or nf_nat with IPv6), or disable IPv6 for pods", cause)
	}
	if s == scopeNone {
		return Report{IPv4: rules4}, nil
	}
	if err := transact(func(b *batch) { b.refuse6() }); err != nil {
		return Report{}, fmt.Errorf("the node's kernel can neither redirect nor refuse IPv6 (%w), and this pod has link-local IPv6 addresses: "+
			"connections over IPv6 would bypass the mesh; load the kernel module nf_tables with IPv6, or disable IPv6 for pods", err)
	}
	return Report{IPv4: rules4, IPv6Blocked: true}, nil
}

// transact sends one all-or-nothing change.
func transact(fill func(*batch)) error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open a netlink socket: %w", err)
	}
	b := &batch{conn: conn}
	fill(b)
	if b.err != nil {
		return b.err
	}
	return conn.Flush()
}

// explain turns the kernel's bare numbers into what a cluster operator can act on.
func explain(err error) error {
	switch {
	case errors.Is(err, syscall.EPERM), errors.Is(err, os.ErrPermission):
		return fmt.Errorf("the kernel refuses to change nftables (%w): the container needs the capability NET_ADMIN; on nodes with SELinux or "+
			"a strict runtime set MeshConfig spec.sidecar.enablePrivilegedInitContainer to true", err)
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.EOPNOTSUPP), errors.Is(err, syscall.EAFNOSUPPORT), errors.Is(err, syscall.EPROTONOSUPPORT):
		return fmt.Errorf("the node's kernel lacks a part of nftables (%w): it needs nf_tables, nft_chain_nat, nft_redir and nft_nat", err)
	}
	return fmt.Errorf("change nftables: %w", err)
}

type scope int

const (
	scopeNone scope = iota
	scopeLinkLocal
	scopeGlobal
)

// ipv6Scope looks how far this network namespace's IPv6 addresses lead, the loopback's own aside.
func ipv6Scope() (scope, error) {
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_V6)
	if err != nil {
		return scopeNone, err
	}
	s := scopeNone
	for _, a := range addrs {
		s = max(s, scopeOf(a.IP))
	}
	return s, nil
}

func scopeOf(ip net.IP) scope {
	switch {
	case ip.To4() != nil, ip.IsLoopback():
		return scopeNone
	case ip.IsLinkLocalUnicast():
		return scopeLinkLocal
	}
	return scopeGlobal
}

func first(ips []netip.Addr, f capture.Family) netip.Addr {
	for _, ip := range ips {
		if ip.Is4() == (f == capture.IPv4) {
			return ip
		}
	}
	return netip.Addr{}
}

func count(r capture.Rules) int { return len(r.Inbound) + len(r.Outbound) }
