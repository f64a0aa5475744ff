package redirect

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/google/nftables"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netns"

	"openservicemesh.io/osm/internal/core/capture"
)

func apply(t *testing.T, ns netns.NsHandle, cfg capture.Config) Report {
	t.Helper()
	var r Report
	require.NoError(t, in(t, ns, 0, func() (err error) {
		r, err = Apply(cfg, []netip.Addr{netip.MustParseAddr(pod4), netip.MustParseAddr(pod6)})
		return err
	}))
	return r
}

// pod runs what stands in a pod (the sidecar's two listeners, its ready port, an application on two ports) and beside it.
func pod(t *testing.T) (inside, outside netns.NsHandle) {
	inside, outside = wire(t)
	serve(t, inside, "sidecar-outbound", 15001, "0.0.0.0", "::")
	serve(t, inside, "sidecar-inbound", 15003, "0.0.0.0", "::")
	serveAs(t, inside, 1500, "ready", 15905, "0.0.0.0", "::")
	serve(t, inside, "admin", 15000, "127.0.0.1")
	serve(t, inside, "app", 8080, "0.0.0.0", "::")
	serve(t, inside, "app", 9999, "0.0.0.0", "::")
	serve(t, inside, "app-on-pod-ip", 7070, pod4, pod6)
	for _, port := range []int{80, 6379} {
		serve(t, outside, "outside", port, outside4, outside6, far4, far6)
	}
	return inside, outside
}

type step struct {
	name      string
	fromPod   bool
	uid       int
	dst, want string
}

func run(t *testing.T, inside, outside netns.NsHandle, steps []step) {
	t.Helper()
	for _, s := range steps {
		ns := outside
		if s.fromPod {
			ns = inside
		}
		require.Equal(t, s.want, call(t, ns, s.uid, s.dst), s.name+": "+s.dst)
	}
}

func TestRedirect(t *testing.T) {
	in, out := pod(t)
	r := apply(t, in, capture.Config{
		InboundPorts: []uint16{9999}, OutboundPorts: []uint16{6379}, SidecarPorts: []uint16{15905},
		OutboundRanges: []netip.Prefix{netip.MustParsePrefix("10.99.0.0/30"), netip.MustParsePrefix("fd99::/64")},
	})
	require.False(t, r.IPv6Blocked)
	require.Positive(t, r.IPv4)
	require.Positive(t, r.IPv6)
	run(t, in, out, []step{
		{"application calls out", true, 1000, "203.0.113.7:80", "sidecar-outbound 203.0.113.7:80"},
		{"root application calls out", true, 0, "203.0.113.7:80", "sidecar-outbound 203.0.113.7:80"},
		{"application calls out", true, 1000, "[2001:db8::7]:80", "sidecar-outbound [2001:db8::7]:80"},
		{"sidecar calls out", true, 1500, "203.0.113.7:80", "outside"},
		{"sidecar calls out", true, 1500, "[2001:db8::7]:80", "outside"},
		{"excluded port", true, 1000, "203.0.113.7:6379", "outside"},
		{"excluded port", true, 1000, "[2001:db8::7]:6379", "outside"},
		{"excluded range", true, 1000, "10.99.0.1:80", "outside"},
		{"excluded range", true, 1000, "[fd99::1]:80", "outside"},
		{"application calls itself", true, 1000, "127.0.0.1:8080", "app"},
		{"application calls itself", true, 1000, "[::1]:8080", "app"},
		{"application calls its pod's address", true, 1000, "10.99.0.2:8080", "app"},
		{"sidecar calls the application", true, 1500, "127.0.0.1:8080", "app"},
		{"sidecar calls its pod through a service", true, 1500, "10.99.0.2:8080", "sidecar-inbound 10.99.0.2:8080"},
		{"sidecar calls its pod through a service", true, 1500, "[fd99::2]:8080", "sidecar-inbound [fd99::2]:8080"},
		{"caller from outside", false, 0, "10.99.0.2:8080", "sidecar-inbound 10.99.0.2:8080"},
		{"caller from outside", false, 0, "[fd99::2]:8080", "sidecar-inbound [fd99::2]:8080"},
		{"caller to a port nobody listens on", false, 0, "10.99.0.2:12345", "sidecar-inbound 10.99.0.2:12345"},
		{"excluded inbound port", false, 0, "10.99.0.2:9999", "app"},
		{"excluded inbound port", false, 0, "[fd99::2]:9999", "app"},
		{"sidecar's port in use", false, 0, "10.99.0.2:15905", "ready"},
		{"sidecar's port not in use", false, 0, "10.99.0.2:15010", "sidecar-inbound 10.99.0.2:15010"},
		{"admin port from outside", false, 0, "10.99.0.2:15000", "sidecar-inbound 10.99.0.2:15000"},
	})
}

func TestInclusionInterfaceAndPodIP(t *testing.T) {
	in, out := pod(t)
	apply(t, in, capture.Config{OutboundRangesOnly: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8::/33")}})
	run(t, in, out, []step{
		{"included", true, 1000, "203.0.113.7:80", "sidecar-outbound 203.0.113.7:80"},
		{"included", true, 1000, "[2001:db8::7]:80", "sidecar-outbound [2001:db8::7]:80"},
		{"not included", true, 1000, "10.99.0.1:80", "outside"},
		{"not included", true, 1000, "[fd99::1]:80", "outside"},
	})
	// Each run replaces the one before.
	apply(t, in, capture.Config{Interfaces: []string{"eth+"}})
	run(t, in, out, []step{
		{"excluded interface", true, 1000, "203.0.113.7:80", "outside"},
		{"excluded interface", false, 0, "10.99.0.2:8080", "app"},
	})
	apply(t, in, capture.Config{Interfaces: []string{"eth1", "eth"}, PodIPMode: true})
	run(t, in, out, []step{
		{"other interfaces excluded", true, 1000, "203.0.113.7:80", "sidecar-outbound 203.0.113.7:80"},
		{"PodIP: sidecar calls the application", true, 1500, "127.0.0.1:7070", "app-on-pod-ip 127.0.0.1:7070"},
		{"PodIP: sidecar calls the application", true, 1500, "[::1]:7070", "app-on-pod-ip [::1]:7070"},
		{"PodIP: sidecar reads its admin API", true, 1500, "127.0.0.1:15000", "admin"},
		{"PodIP: nobody else is rewritten", true, 1000, "127.0.0.1:7070", "refused"},
	})
}

func TestApplyTwiceLeavesOneTable(t *testing.T) {
	ns, _ := wire(t)
	cfg := capture.Config{OutboundPorts: []uint16{5, 5, 4}, SidecarPorts: []uint16{15905}}
	first := apply(t, ns, cfg)
	require.Equal(t, first, apply(t, ns, cfg))
	require.NoError(t, in(t, ns, 0, func() error {
		conn, err := nftables.New()
		if err != nil {
			return err
		}
		tables, err := conn.ListTables()
		require.Len(t, tables, 2)
		for _, tb := range tables {
			require.Equal(t, Table, tb.Name)
		}
		chains, err2 := conn.ListChains()
		require.Len(t, chains, 6)
		rules, err3 := conn.GetRules(tables[0], chains[0])
		require.NotEmpty(t, rules)
		return errors.Join(err, err2, err3)
	}))
}

func TestIPv6ThatCannotBeRedirected(t *testing.T) {
	cause := errors.New("operation not supported")
	_, err := withoutRedirect6(scopeGlobal, 7, cause)
	require.ErrorContains(t, err, "would bypass the mesh")
	require.ErrorIs(t, err, cause)

	r, err := withoutRedirect6(scopeNone, 7, cause)
	require.NoError(t, err)
	require.Equal(t, Report{IPv4: 7}, r)

	inside, outside := pod(t)
	require.NoError(t, in(t, inside, 0, func() (err error) {
		r, err = withoutRedirect6(scopeLinkLocal, 7, cause)
		return err
	}))
	require.Equal(t, Report{IPv4: 7, IPv6Blocked: true}, r)
	require.Equal(t, "refused", call(t, inside, 1000, "[fd99::1]:80"))
	require.Equal(t, "refused", call(t, outside, 0, "[fd99::2]:8080"))
	require.Equal(t, "app", call(t, inside, 1000, "[::1]:8080"))
	// A later run on a node that can redirect takes the refusal away.
	apply(t, inside, capture.Config{})
	require.Equal(t, "sidecar-outbound [fd99::1]:80", call(t, inside, 1000, "[fd99::1]:80"))
}

func TestScopes(t *testing.T) {
	ns, _ := wire(t)
	require.NoError(t, in(t, ns, 0, func() error {
		s, err := ipv6Scope()
		require.Equal(t, scopeGlobal, s)
		return err
	}))
	require.NoError(t, in(t, newNS(t), 0, func() error {
		s, err := ipv6Scope()
		require.Equal(t, scopeNone, s)
		return err
	}))
	require.Equal(t, scopeLinkLocal, scopeOf(net.ParseIP("fe80::1")))
}

func TestWithoutTheRight(t *testing.T) {
	ns, _ := wire(t)
	err := in(t, ns, 1000, func() error {
		_, err := Apply(capture.Config{}, nil)
		return err
	})
	require.ErrorIs(t, err, syscall.EPERM)
	require.ErrorContains(t, err, "NET_ADMIN")
	require.ErrorContains(t, err, "enablePrivilegedInitContainer")
}

func TestBadConfigChangesNothing(t *testing.T) {
	_, err := Apply(capture.Config{OutboundPorts: []uint16{0}}, nil)
	require.True(t, err != nil && strings.Contains(err.Error(), "outboundPorts"))
}

// A port let through for the sidecar must not become a door to an application that binds it.
func TestOnlyTheSidecarAnswersOnItsPorts(t *testing.T) {
	in, out := wire(t)
	serveAs(t, in, 1000, "application", 15010, "0.0.0.0", "::")
	serveAs(t, in, 1500, "sidecar", 15905, "0.0.0.0", "::")
	serveAs(t, in, 65532, "helper", 15904, "0.0.0.0")
	apply(t, in, capture.Config{SidecarPorts: []uint16{15905, 15010, 15904, 15902}})
	for _, host := range []string{pod4, pod6} {
		require.Equal(t, "sidecar", call(t, out, 0, net.JoinHostPort(host, "15905")))
		require.Contains(t, call(t, out, 0, net.JoinHostPort(host, "15010")), "timeout")
		require.Equal(t, "refused", call(t, out, 0, net.JoinHostPort(host, "15902")), "nobody listens")
	}
	require.Equal(t, "helper", call(t, out, 0, pod4+":15904"))
	require.Equal(t, "application", call(t, in, 1000, "127.0.0.1:15010"), "the pod's talk with itself stays")
}
