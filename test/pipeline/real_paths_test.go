package pipeline

import (
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/sim"
)

// pathSpellings are ways to write paths around the rules of realInput, which open /public/.* and /exact.
func pathSpellings() []string {
	out := []string{
		"/", "/public", "/public/", "/public/x", "/public/x/", "/public/x/y", "/PUBLIC/x", "/Public/x", "/publicx", "/public.x",
		"/exact", "/exact/", "/exact/.", "/exact/..", "/exactly", "/exact?", "/exact?a=b", "/exact?/../x", "/exact?a#b", "/exact;a=b",
		"//public/x", "///public/x", "/public//x", "/public///x", "//exact", "/exact//", "/./public/x", "/public/./x", "/./exact", "/.//exact",
		"/x/../exact", "/public/../exact", "/x/../public/x", "/../public/x", "/../../exact",
		"/public/%41", "/%70ublic/x", "/ex%61ct", "/exac%74", "/exact%00", "/exact%20", "/exact%3f", "/exact%23", "/public/%3b",
		"/public/%c0%ae%c0%ae/admin", "/public/%e0%80%ae%e0%80%ae/admin", "/public/%uff0e%uff0e/admin", "/public/..;/admin", "/public/.;/x",
		"/public/...//admin", "/public/..../admin", "/public/x/..", "/public/x/.", "/public/..", "/public/.", "/public/%", "/public/%2", "/public/%zz",
		"/public/a%2fb", "/public%2fx", "%2fpublic%2fx", "/exact%2f", "/%2fexact", "/public/a\\b", "/public\\x", "\\public\\x", "/exact\\", "/public/a%5cb",
		"/admin", "/admin/public/x", "/admin/exact", "/public/x#/../../admin",
	}
	for _, dots := range []string{"..", "%2e%2e", "%2E%2E", ".%2e", "%2e.", ".%2E", "%252e%252e", "..%00", "%2e%2e%00"} {
		for _, slash := range []string{"/", "//", "%2f", "%2F", "\\", "%5c", "%5C", "/./", "%252f", "%255c"} {
			out = append(out, "/public/"+dots+slash+"admin")
		}
	}
	return out
}

// TestRealPaths has a real Envoy judge every spelling of a path. The simulator must say the same; what the application
// is asked for must be what was judged; and no spelling may reach what the canonical path may not.
func TestRealPaths(t *testing.T) {
	m := verbatimPair(t)
	spellings := pathSpellings()
	require.GreaterOrEqual(t, len(spellings), 60)
	for _, p := range spellings {
		code, got := raw(t, m.addr("127.0.77.1", "PORT_WEB"), "GET", p, "web.shop")
		want := m.simulate(t, "client.client", sim.Request{Method: "GET", Path: p, Host: "web.shop"})
		require.Equal(t, want.Code, code, "%q: %s", p, want.By)
		if got == nil {
			continue
		}
		require.Equal(t, want.Path, got.Path, "%q", p)
		forwarded, _, _ := strings.Cut(got.Path, "?")
		require.True(t, forwarded == "/exact" || strings.HasPrefix(forwarded, "/public/"), "%q was forwarded as %q", p, forwarded)
		decoded, err := url.PathUnescape(forwarded)
		if err != nil {
			continue
		}
		cleaned := path.Clean(strings.ReplaceAll(decoded, `\`, "/"))
		require.True(t, cleaned == "/exact" || cleaned == "/public" || strings.HasPrefix(cleaned, "/public/"),
			"%q was forwarded as %q, which a server may take for %q", p, forwarded, cleaned)
	}
}

// TestRealHosts has a real Envoy judge every spelling of a host.
func TestRealHosts(t *testing.T) {
	m := realPair(t, false)
	port := m.ports["PORT_WEB"]
	for _, h := range []string{
		"web.shop", "WEB.shop", "Web.Shop.SVC", "web.shop.", "web.shop.svc.cluster.local", "web.shop.svc.cluster.local.",
		"web", "web.client", "rpc.shop", "db.shop", "127.0.77.1", "localhost", "web.shop.svc.cluster", "web.shop.svc.cluster.loca", "xweb.shop",
		"web.shop:80", "web.shop:" + fmt.Sprint(port), "web.shop.:" + fmt.Sprint(port), "WEB.SHOP:" + fmt.Sprint(port), "web.shop:0", "web.shop:", "web.shop:65536",
	} {
		for _, p := range []string{"/exact", "/host"} {
			code, _ := raw(t, m.addr("127.0.77.1", "PORT_WEB"), "GET", p, h)
			want := m.simulate(t, "client.client", sim.Request{Method: "GET", Path: p, Host: h})
			require.Equal(t, want.Code, code, "host %q, path %s: %s", h, p, want.By)
		}
	}
	// The absolute form of a request's target carries the host; the Host header beside it does not count.
	base := m.addr("127.0.77.1", "PORT_WEB")
	code, got := raw(t, base, "GET", "http://web.shop/exact", "elsewhere")
	require.Equal(t, 200, code)
	require.Equal(t, "web.shop", got.Host)
	code, _ = raw(t, base, "GET", "http://elsewhere/exact", "web.shop")
	require.Equal(t, 404, code)
	code, _ = raw(t, base, "GET", "http://web.shop/public/../admin", "web.shop")
	require.Equal(t, 404, code)
}

// TestRealHeaders: a rule judges the value that the application sees, whatever it is split into.
func TestRealHeaders(t *testing.T) {
	m := realPair(t, false)
	for _, c := range []struct {
		headers []string
		code    int
	}{
		{[]string{"X-Tier: gold"}, 200}, {[]string{"x-tier: silver"}, 200}, {[]string{"X-TIER:gold"}, 200}, {[]string{"X-Tier:  gold  "}, 200},
		{nil, 404}, {[]string{"X-Tier: "}, 404}, {[]string{"X-Tier: golden"}, 404}, {[]string{"X-Tier: Gold"}, 404}, {[]string{"X_Tier: gold"}, 404},
		{[]string{"X-Tier: gold", "X-Tier: iron"}, 404}, {[]string{"X-Tier: iron", "X-Tier: gold"}, 404}, {[]string{"X-Tier: gold,iron"}, 404},
		{[]string{"X-Tier: gold", "X-Tier: silver"}, 404}, {[]string{"X-Tier: gold|silver"}, 404}, {[]string{"Y: X-Tier: gold"}, 404},
	} {
		code, got := raw(t, m.addr("127.0.77.1", "PORT_WEB"), "GET", "/tier", "web.shop", c.headers...)
		require.Equal(t, c.code, code, "%q", c.headers)
		if got != nil {
			require.Len(t, got.Header.Values("X-Tier"), 1)
		}
	}
	code, got := raw(t, m.addr("127.0.77.1", "PORT_WEB"), "GET", "/tier", "web.shop", "X-Tier: gold", "X_Tier: iron", "x_tier: admin")
	require.Equal(t, 200, code)
	require.Empty(t, got.Header.Values("X_tier"), "some servers take this for another spelling of the judged header")
}

// TestRealIdentities: who is not granted a request gets 403, and nobody answers in another's name.
func TestRealIdentities(t *testing.T) {
	m := newRealMesh(t, false)
	serve(t, m.addr("127.0.0.1", "PORT_WEB"))
	m.start(t, "shop.shop", "shop.shop.cluster.local")
	m.start(t, "reader.client", "reader.client.cluster.local")
	web := m.addr("127.0.77.1", "PORT_WEB")
	for p, want := range map[string]int{"/exact": 200, "/public/x": 403, "/nothing": 404, "//exact": 200, "/exact/../public/x": 403} {
		code, _ := raw(t, web, "GET", p, "web.shop")
		require.Equal(t, want, code, p)
		require.Equal(t, want, m.simulate(t, "reader.client", sim.Request{Method: "GET", Path: p, Host: "web.shop"}).Code, p)
	}
	t.Run("impostor of the server", func(t *testing.T) {
		m := newRealMesh(t, false)
		serve(t, m.addr("127.0.0.1", "PORT_WEB"))
		m.start(t, "shop.shop", "reader.client.cluster.local")
		m.start(t, "client.client", "client.client.cluster.local")
		code, _ := raw(t, m.addr("127.0.77.1", "PORT_WEB"), "GET", "/exact", "web.shop")
		require.Equal(t, 503, code)
	})
	t.Run("a client without a grant", func(t *testing.T) {
		for _, principal := range []string{"stranger.client.cluster.local", "client.client.cluster.local.evil", "xclient.client.cluster.local", "*.client.cluster.local"} {
			m := newRealMesh(t, false)
			serve(t, m.addr("127.0.0.1", "PORT_WEB"))
			m.start(t, "shop.shop", "shop.shop.cluster.local")
			m.start(t, "client.client", principal)
			code, _ := raw(t, m.addr("127.0.77.1", "PORT_WEB"), "GET", "/exact", "web.shop")
			require.Equal(t, 503, code, principal)
		}
	})
}

// TestRealMetricsListener: the one page of the admin interface that it leads to is not a door to the others.
func TestRealMetricsListener(t *testing.T) {
	m := newRealMesh(t, false)
	serve(t, m.addr("127.0.0.1", "PORT_ADMIN"))
	m.start(t, "shop.shop", "shop.shop.cluster.local")
	at := m.addr("127.0.88.1", "PORT_METRICS")
	for _, p := range []string{"/stats/prometheus", "/stats/prometheus?usedonly", "/stats//prometheus", "/stats/x/../prometheus"} {
		code, got := raw(t, at, "GET", p, "anything")
		require.Equal(t, 200, code, p)
		require.True(t, strings.HasPrefix(got.Path, "/stats/prometheus"), "%s became %s", p, got.Path)
		require.NotContains(t, got.Path, "..")
	}
	for _, p := range []string{
		"/", "/config_dump", "/stats", "/stats/prometheus/", "/stats/prometheus/x", "/stats/prometheus/../../config_dump", "/stats/prometheus/%2e%2e/%2e%2e/config_dump",
		"/stats/prometheus/..%2f..%2fconfig_dump", "/stats/prometheus%2f..%2f..%2fconfig_dump", "/stats/prometheus/..;/..;/config_dump", "/stats/prometheus/../../quitquitquit",
		"/stats/prometheus;/../../config_dump", "/stats/prometheus%00/config_dump", "/STATS/PROMETHEUS", "/stats/prometheus/..\\..\\config_dump", "//config_dump", "/certs",
	} {
		code, _ := raw(t, at, "GET", p, "anything")
		require.NotEqual(t, 200, code, p)
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "CONNECT"} {
		code, _ := raw(t, at, method, "/stats/prometheus", "anything")
		require.NotEqual(t, 200, code, method)
	}
}

// simulate asks the simulator how a request to the web service ends.
func (m *realMesh) simulate(t *testing.T, from string, r sim.Request) sim.Outcome {
	t.Helper()
	p, err := m.mesh.Find(from)
	require.NoError(t, err)
	client := &sim.Proxy{
		Principal: m.mesh.Principal(p), CertSecret: names.SecretServiceCert(p.Identity()),
		Resources: m.view.Config(p.Key), Endpoints: m.view.Endpoints,
	}
	if r.Headers == nil {
		r.Headers = map[string]string{}
	}
	out, err := sim.FromMesh(client, m.at, sim.Call{To: netip.MustParseAddrPort(m.addr("127.0.77.1", "PORT_WEB")), HTTP: &r})
	require.NoError(t, err)
	return out
}
