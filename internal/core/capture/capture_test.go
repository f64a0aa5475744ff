package capture

import (
	"encoding/json"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var (
	pod4 = netip.MustParseAddr("10.1.2.3")
	pod6 = netip.MustParseAddr("fd00::3")
	comp = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
)

func conn(iface string, uid uint32, dst string, port uint16) Connection {
	return Connection{Interface: iface, UID: uid, Dst: netip.MustParseAddr(dst), Port: port}
}

func TestVerdicts(t *testing.T) {
	prefix := netip.MustParsePrefix
	pass, in, out := Action{Kind: Pass}, Action{Kind: Redirect, Port: 15003}, Action{Kind: Redirect, Port: 15001}
	excl := Config{
		OutboundPorts: []uint16{5432, 6379}, InboundPorts: []uint16{9999}, SidecarPorts: []uint16{15905, 15901},
		OutboundRanges: []netip.Prefix{prefix("1.1.1.1/32"), prefix("10.9.0.0/16"), prefix("fd99::/16")},
		Interfaces:     []string{"net1", "veth+"},
	}
	only := Config{OutboundRangesOnly: []netip.Prefix{prefix("10.0.0.0/8"), prefix("fd00::/8")}, OutboundPorts: []uint16{443}}
	for _, tc := range []struct {
		name     string
		cfg      Config
		family   Family
		entering bool
		c        Connection
		want     Action
	}{
		{"app calls out", Config{}, IPv4, false, conn("eth0", 1000, "8.8.8.8", 80), out},
		{"root app calls out", Config{}, IPv4, false, conn("eth0", 0, "8.8.8.8", 443), out},
		{"app calls out over IPv6", Config{}, IPv6, false, conn("eth0", 1000, "2001:db8::1", 80), out},
		{"app calls another pod's admin port", Config{}, IPv4, false, conn("eth0", 1000, "10.1.2.9", 15000), out},
		{"sidecar calls out", Config{}, IPv4, false, conn("eth0", 1500, "8.8.8.8", 80), pass},
		{"sidecar calls its app", Config{}, IPv4, false, conn("lo", 1500, "127.0.0.1", 8080), pass},
		{"sidecar calls its own pod's address", Config{}, IPv4, false, conn("lo", 1500, "10.1.2.3", 8080), in},
		{"sidecar calls its own pod's IPv6 address", Config{}, IPv6, false, conn("lo", 1500, "fd00::3", 8080), in},
		{"sidecar calls its app over IPv6", Config{}, IPv6, false, conn("lo", 1500, "::1", 8080), pass},
		{"sidecar calls another loopback address", Config{}, IPv4, false, conn("lo", 1500, "127.0.0.2", 8080), in},
		{"app calls itself", Config{}, IPv4, false, conn("lo", 1000, "127.0.0.1", 8080), pass},
		{"app calls its own pod's address", Config{}, IPv4, false, conn("lo", 1000, "10.1.2.3", 8080), pass},
		{"app calls the admin API", Config{}, IPv4, false, conn("lo", 1000, "127.0.0.1", 15000), pass},
		{"loopback by another interface", Config{}, IPv4, false, conn("eth0", 1000, "127.0.0.1", 80), pass},
		{"PodIP: sidecar calls its app", Config{PodIPMode: true}, IPv4, false, conn("lo", 1500, "127.0.0.1", 8080), Action{Kind: Rewrite, Addr: pod4}},
		{"PodIP: sidecar calls its app over IPv6", Config{PodIPMode: true}, IPv6, false, conn("lo", 1500, "::1", 8080), Action{Kind: Rewrite, Addr: pod6}},
		{"PodIP: sidecar reads its own statistics", Config{PodIPMode: true}, IPv4, false, conn("lo", 1500, "127.0.0.1", 15000), pass},
		{"PodIP: app calls itself", Config{PodIPMode: true}, IPv4, false, conn("lo", 1000, "127.0.0.1", 8080), pass},
		{"excluded port", excl, IPv4, false, conn("eth0", 1000, "8.8.8.8", 6379), pass},
		{"excluded port over IPv6", excl, IPv6, false, conn("eth0", 1000, "2001:db8::1", 5432), pass},
		{"another port", excl, IPv4, false, conn("eth0", 1000, "8.8.8.8", 9999), out},
		{"excluded address", excl, IPv4, false, conn("eth0", 1000, "1.1.1.1", 80), pass},
		{"address beside it", excl, IPv4, false, conn("eth0", 1000, "1.1.1.2", 80), out},
		{"excluded range", excl, IPv4, false, conn("eth0", 1000, "10.9.255.1", 80), pass},
		{"excluded IPv6 range", excl, IPv6, false, conn("eth0", 1000, "fd99::5", 80), pass},
		{"excluded interface out", excl, IPv4, false, conn("net1", 1000, "8.8.8.8", 80), pass},
		{"interface with a longer name", excl, IPv4, false, conn("net10", 1000, "8.8.8.8", 80), out},
		{"wildcard interface", excl, IPv4, false, conn("veth7", 1000, "8.8.8.8", 80), pass},
		{"excluded interface in", excl, IPv4, true, conn("net1", 0, "10.1.2.3", 8080), pass},
		{"excluded inbound port", excl, IPv4, true, conn("eth0", 0, "10.1.2.3", 9999), pass},
		{"excluded inbound port on IPv6", excl, IPv6, true, conn("eth0", 0, "fd00::3", 9999), pass},
		{"probe port in use", excl, IPv4, true, conn("eth0", 0, "10.1.2.3", 15901), pass},
		{"probe port not in use", excl, IPv4, true, conn("eth0", 0, "10.1.2.3", 15902), in},
		{"metrics port not in use", excl, IPv4, true, conn("eth0", 0, "10.1.2.3", 15010), in},
		{"helper port not in use", Config{}, IPv4, true, conn("eth0", 0, "10.1.2.3", 15904), in},
		{"outbound exclusions do not open inbound", excl, IPv4, true, conn("eth0", 0, "10.1.2.3", 6379), in},
		{"caller from outside", Config{}, IPv4, true, conn("eth0", 0, "10.1.2.3", 8080), in},
		{"caller from outside over IPv6", Config{}, IPv6, true, conn("eth0", 0, "fd00::3", 8080), in},
		{"included range", only, IPv4, false, conn("eth0", 1000, "10.200.0.1", 80), out},
		{"included IPv6 range", only, IPv6, false, conn("eth0", 1000, "fd12::1", 80), out},
		{"not included", only, IPv4, false, conn("eth0", 1000, "8.8.8.8", 80), pass},
		{"not included IPv6", only, IPv6, false, conn("eth0", 1000, "2001:db8::1", 80), pass},
		{"exclusion wins over inclusion", only, IPv4, false, conn("eth0", 1000, "10.200.0.1", 443), pass},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ip := pod4
			if tc.family == IPv6 {
				ip = pod6
			}
			r := Build(tc.cfg, tc.family, ip)
			got := r.Leaving(tc.c)
			if tc.entering {
				got = r.Entering(tc.c)
			}
			require.Empty(t, cmp.Diff(tc.want, got, comp))
		})
	}
}

// Whatever the configuration, the sidecar's own connections must never come back to it (a loop), and with no inclusion
// or exclusion at all nothing leaves the pod unseen.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		port := rapid.Uint16Range(1, 65535)
		cfg := Config{
			OutboundPorts: rapid.SliceOfN(port, 0, 3).Draw(t, "out"), InboundPorts: rapid.SliceOfN(port, 0, 3).Draw(t, "in"),
			SidecarPorts: rapid.SliceOfN(port, 0, 3).Draw(t, "own"), PodIPMode: rapid.Bool().Draw(t, "podIP"),
		}
		dst := netip.AddrFrom4([4]byte{byte(rapid.IntRange(1, 223).Draw(t, "a")), 0, 0, byte(rapid.IntRange(1, 254).Draw(t, "d"))})
		r := Build(cfg, IPv4, pod4)
		c := Connection{Interface: "eth0", UID: 1500, Dst: dst, Port: port.Draw(t, "port")}
		if got := r.Leaving(c); got.Kind != Pass {
			t.Fatalf("the sidecar's own connection %v: %v", c, got)
		}
		c.UID = rapid.SampledFrom([]uint32{0, 1000, 1499, 1501}).Draw(t, "uid")
		got := Build(Config{PodIPMode: cfg.PodIPMode}, IPv4, pod4).Leaving(c)
		if c.Dst != netip.MustParseAddr("127.0.0.1") && got.Kind != Redirect {
			t.Fatalf("%v escapes: %v", c, got)
		}
	})
}

func TestParse(t *testing.T) {
	c := Config{OutboundPorts: []uint16{1}, OutboundRanges: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Interfaces: []string{"eth+"}, PodIPMode: true}
	js, err := json.Marshal(c)
	require.NoError(t, err)
	back, err := Parse(string(js))
	require.NoError(t, err)
	require.Equal(t, c, back)

	for js, want := range map[string]string{
		``:                                      "OSM_REDIRECT: EOF",
		`{"port":1}`:                            `unknown field "port"`,
		`{} {}`:                                 "more than one JSON value",
		`{"outboundPorts":[0]}`:                 "outboundPorts: port 0",
		`{"inboundPorts":[65536]}`:              "65536",
		`{"sidecarPorts":[0]}`:                  "sidecarPorts: port 0",
		`{"outboundRanges":["10.0.0.0"]}`:       "10.0.0.0",
		`{"outboundRanges":[""]}`:               "outboundRanges: an empty range",
		`{"interfaces":["a/b"]}`:                `interfaces: "a/b"`,
		`{"interfaces":["+"]}`:                  `interfaces: "+"`,
		`{"interfaces":["aaaaaaaaaaaaaaaaaa"]}`: `interfaces: "aaaaaaaaaaaaaaaaaa"`,
	} {
		_, err := Parse(js)
		require.ErrorContains(t, err, want, js)
	}
}

func TestOnlyTheSidecarAnswersOnItsPorts(t *testing.T) {
	r := Build(Config{SidecarPorts: []uint16{15905, 15010, 15904, 15901}, InboundPorts: []uint16{15901}}, IPv4, pod4)
	require.True(t, r.Answers(1500, 15010))
	require.False(t, r.Answers(1000, 15010))
	require.False(t, r.Answers(0, 15905))
	require.True(t, r.Answers(1000, 8080))
	require.True(t, r.Answers(65532, 15904), "the health-check helper is another user")
	require.True(t, r.Answers(1000, 15901), "the user has excluded the port")
}
