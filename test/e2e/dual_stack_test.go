package e2e

import (
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
)

// TestDualStack: addresses of either family are redirected, secured and judged alike, behind Services of one family, of
// both, and headless ones; what comes from outside of the mesh is refused on both.
func TestDualStack(t *testing.T) {
	if off, err := os.ReadFile("/proc/sys/net/ipv6/conf/all/disable_ipv6"); err != nil || strings.TrimSpace(string(off)) != "0" {
		t.Skip("this machine's kernel has no IPv6, so the local cluster has addresses of IPv4 alone")
	}
	closedMesh(t)
	startPods(t, "dual-stack.yaml", "dual")
	caller, stranger := pod{"dual", "caller", "app"}, pod{"dual", "stranger", "app"}
	urls := []string{"http://only4.dual:14001/", "http://only6.dual:14001/", "http://both.dual:14001/", "http://headless6.dual:14001/"}
	// The names have addresses of their own family alone, so that one family cannot stand in for the other.
	bytes := append([]string{"only4.dual:9000", "only6.dual:9000"}, clusterIPs(t, "both", "9000")...)

	t.Run("no policy", func(t *testing.T) {
		for _, url := range urls {
			caller.want(t, 7, "", "get", url)
		}
		for _, to := range bytes {
			caller.want(t, 7, "", "tcpget", to)
		}
	})
	apply(t, "dual-stack-policy.yaml")
	for _, url := range urls {
		t.Run(url, func(t *testing.T) { caller.want(t, 0, `"localAddr"`, "get", "-fail", url) })
	}
	for _, to := range bytes {
		t.Run(to, func(t *testing.T) { caller.want(t, 0, "hello", "tcpget", to) })
	}
	t.Run("a stranger", func(t *testing.T) {
		addresses := strings.Fields(kubectl(t, "get", "pod", "server", "-n", "dual", "-o", "jsonpath={.status.podIPs[*].ip}"))
		wantFamilies(t, addresses)
		for _, a := range addresses {
			stranger.want(t, 56, "", "get", "http://"+net.JoinHostPort(a, "14001")+"/")
			stranger.wantClosed(t, "tcpget", net.JoinHostPort(a, "9000"))
		}
	})
}

// clusterIPs lists the addresses of a Service of both families, each with a port.
func clusterIPs(t *testing.T, service, port string) []string {
	t.Helper()
	addresses := strings.Fields(kubectl(t, "get", "service", service, "-n", "dual", "-o", "jsonpath={.spec.clusterIPs[*]}"))
	wantFamilies(t, addresses)
	out := make([]string, 0, len(addresses))
	for _, a := range addresses {
		out = append(out, net.JoinHostPort(a, port))
	}
	return out
}

// wantFamilies wants one address of each family.
func wantFamilies(t *testing.T, addresses []string) {
	t.Helper()
	four, six := 0, 0
	for _, a := range addresses {
		if ip, err := netip.ParseAddr(a); err == nil && ip.Is4() {
			four++
		} else if err == nil {
			six++
		}
	}
	if four != 1 || six != 1 {
		t.Fatalf("addresses %v: want one of each family", addresses)
	}
}
