package pipeline

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/core/sim"
)

// canonicalPaths maps spellings to the path that each stands for, by hand. "" stands for none: such a request is refused
// before any rule is asked.
func canonicalPaths() map[string]string {
	out := map[string]string{
		"/public/x": "/public/x", "/public/x/": "/public/x/", "/public/": "/public/", "/exact": "/exact", "/exact/": "/exact/", "/admin": "/admin",
		"//public/x": "/public/x", "///public///x": "/public/x", "/public//x": "/public/x", "//exact": "/exact", "/exact//": "/exact/", "//admin": "/admin",
		"/./public/x": "/public/x", "/public/./x": "/public/x", "/public/x/.": "/public/x/", "/.//exact": "/exact", "/./exact": "/exact", "/./admin": "/admin",
		"/x/../exact": "/exact", "/public/../exact": "/exact", "/x/../public/x": "/public/x", "/../public/x": "/public/x", "/../../exact": "/exact",
		"/public/x/..": "/public/", "/public/..": "/", "/public/.": "/public/", "/exact/..": "/", "/exact/.": "/exact/",
		"/public/%41": "/public/A", "/%70ublic/x": "/public/x", "/ex%61ct": "/exact", "/exac%74": "/exact", "/%61dmin": "/admin", "/%65%78%61%63%74": "/exact",
		"/public%2fx": "/public/x", "/public%2Fx": "/public/x", "/%2fexact": "/exact", "/exact%2f": "/exact/", "/%2Fadmin": "/admin",
		"/public\\x": "/public/x", "/public%5cx": "/public/x", "/public%5Cx": "/public/x", "/\\exact": "/exact", "/\\admin": "/admin",
		"/exact?a=b": "/exact", "/exact?/../../admin": "/exact", "/exact?": "/exact", "/public/x?%2e%2e/admin": "/public/x", "/admin?/public/x": "/admin",
		"/public/%252e%252e/admin": "/public/%252e%252e/admin", "/public%252fx": "/public%252fx", "/%2561dmin": "/%2561dmin",
		"/exact%20": "/exact%20", "/exact%3f": "/exact%3f", "/exact%23": "/exact%23", "/exact;a=b": "/exact;a=b", "/PUBLIC/x": "/PUBLIC/x", "/Exact": "/Exact",
		"/public/%": "/public/%", "/public/%2": "/public/%2", "/public/%zz": "/public/%zz", "/public/%%2e": "/public/%.", "/public/%2%2e": "/public/%2.",
		// What only decoding would make an escape is escaped in turn: no server decodes it into dots.
		"/public/%%32%65%%32%65/admin": "/public/%252e%252e/admin", "/public/%2%65%2%65%2%66admin": "/public/%252e%252e%252fadmin", "/public/%%35c..%%35cadmin": "/public/%255c..%255cadmin",
		"/exact%00": "", "/public/%00/admin": "", "/exact#": "", "/exact#/public/x": "", "/public/x#/../../admin": "",
		"/public/..;/admin": "/admin", "/public/..;a=b/admin": "/admin", "/public/.;/x": "/public/x", "/public/...//admin": "/public/.../admin",
	}
	for _, dots := range []string{"..", "%2e%2e", "%2E%2E", ".%2e", "%2e.", ".%2E"} {
		for _, slash := range []string{"/", "//", "%2f", "%2F", "\\", "%5c", "%5C", "/./"} {
			out["/public/"+dots+slash+"admin"] = "/admin"
			out["/public/x/"+dots+slash+dots+slash+"exact"] = "/exact"
			if slash == "//" {
				// Of two slashes the second begins a segment without a name, which the dots take away.
				out["/public/x/"+dots+slash+dots+slash+"exact"] = "/public/exact"
			}
		}
	}
	return out
}

// canonicalVerdicts are what the rules of realInput say about canonical paths.
func canonicalVerdict(p string) int {
	switch {
	case p == "":
		return 400
	case p == "/exact", strings.HasPrefix(p, "/public/"):
		return 200
	}
	return 404
}

// TestRealPathsMeanOnePath: every spelling, by HTTP/1.1 and by HTTP/2, has the verdict of the path it stands for, and the
// application is asked for that path and no other.
func TestRealPathsMeanOnePath(t *testing.T) {
	m := verbatimPair(t)
	web := m.addr("127.0.77.1", "PORT_WEB")
	paths := canonicalPaths()
	require.GreaterOrEqual(t, len(paths), 150)
	for spelling, canonical := range paths {
		want := canonicalVerdict(canonical)
		code, got := raw(t, web, "GET", spelling, "web.shop")
		require.Equal(t, want, code, "HTTP/1.1: %q stands for %q", spelling, canonical)
		requireForwarded(t, spelling, canonical, got)
		code, got = rawHTTP2(t, web, h2Request("GET", spelling, "web.shop"))
		if want == 400 && code == 0 {
			continue // the stream was reset, which is as good
		}
		require.Equal(t, want, code, "HTTP/2: %q stands for %q", spelling, canonical)
		requireForwarded(t, spelling, canonical, got)
	}
	for _, none := range []string{"", "*", "public/x", "exact", "http://web.shop/exact", "%2fexact", "\\exact", "/exact\x00", "/ex act", "/exact\r\nx: y"} {
		t.Run(fmt.Sprintf("%q", none), func(t *testing.T) {
			t.Parallel() // Envoy takes its time to close such a connection
			code, got := rawHTTP2(t, web, h2Request("GET", none, "web.shop"))
			require.Nil(t, got)
			require.Contains(t, []int{0, 400, 404}, code)
		})
	}
}

func requireForwarded(t *testing.T, spelling, canonical string, got *seen) {
	t.Helper()
	if got != nil {
		path, _, _ := strings.Cut(got.Path, "?")
		require.Equal(t, canonical, path, "%q was forwarded as %q", spelling, got.Path)
	}
}

// TestRealHostsHTTP2: the authority is what counts, whatever a Host field beside it says.
func TestRealHostsHTTP2(t *testing.T) {
	m := realPair(t, false)
	web := m.addr("127.0.77.1", "PORT_WEB")
	host := func(v string) field { return field{Name: "host", Value: v} }
	for _, c := range []struct {
		fields []field
		code   []int
	}{
		{h2Request("GET", "/host", "web.shop"), []int{200}},
		{h2Request("GET", "/host", "web.shop."), []int{200}},
		{h2Request("GET", "/host", "web.shop:80"), []int{404}},
		{h2Request("GET", "/host", "elsewhere"), []int{404}},
		{h2Request("GET", "/host", "elsewhere", host("web.shop")), []int{404, 400, 0}},
		{h2Request("GET", "/host", "web.shop", host("elsewhere")), []int{200, 400, 0}},
		{h2Request("GET", "/host", "", host("web.shop")), []int{200, 400, 0}},
		{h2Request("GET", "/host", "", host("elsewhere")), []int{404, 400, 0}},
		{h2Request("GET", "/host", "", host("elsewhere"), host("web.shop")), []int{404, 400, 0}},
		{h2Request("GET", "/host", "web.shop", field{Name: ":authority", Value: "elsewhere"}), []int{400, 0}},
		{h2Request("GET", "/host", "user@web.shop"), []int{404, 400, 0}},
		{h2Request("GET", "/host", "web.shop,elsewhere"), []int{404, 400, 0}},
		{h2Request("GET", "/host", "web.shop/x"), []int{404, 400, 0}},
		{h2Request("GET", "/host", "web.shop x"), []int{404, 400, 0}},
	} {
		t.Run(fmt.Sprint(c.fields[2:]), func(t *testing.T) {
			t.Parallel()
			code, got := rawHTTP2(t, web, c.fields)
			require.Contains(t, c.code, code)
			if got != nil {
				require.Equal(t, "web.shop", got.Host)
				require.Empty(t, got.Header.Values("Host"))
			}
		})
	}
}

// TestRealOddHosts: spellings that are none of the service's names, and ways to say two hosts at once.
func TestRealOddHosts(t *testing.T) {
	m := realPair(t, false)
	web := m.addr("127.0.77.1", "PORT_WEB")
	for _, h := range []string{
		"", " ", "web.shop,elsewhere", "elsewhere,web.shop", "web.shop elsewhere", "user@web.shop", "web.shop@elsewhere", "web.shop/x", "web.shop#", "web.shop?",
		"web.shop%00", "web%2eshop", "web..shop", ".web.shop", "web.shop..", "[::1]", "[::ffff:127.0.77.1]", "2130726145", "0x7f004d01", "web.shop:80:80", "web.shop:+80", "web.shop: 80", "wеb.shop",
		"web.shop.svc.cluster.local.evil", "*.shop", "*",
	} {
		code, got := raw(t, web, "GET", "/exact", h)
		require.Contains(t, []int{400, 404}, code, "%q", h)
		require.Nil(t, got)
	}
	for _, c := range []struct {
		host    string
		headers []string
		codes   []int
	}{
		{"web.shop", []string{"Host: elsewhere"}, []int{400, 404}},
		{"elsewhere", []string{"Host: web.shop"}, []int{400, 404}},
		{"web.shop", []string{"Host: web.shop"}, []int{400, 404}},
		{"elsewhere", []string{"X-Forwarded-Host: web.shop", "X-Host: web.shop", "Forwarded: host=web.shop"}, []int{404}},
		{"web.shop", []string{"X-Forwarded-Host: elsewhere", "X-Host: elsewhere"}, []int{200}},
	} {
		code, got := raw(t, web, "GET", "/exact", c.host, c.headers...)
		require.Contains(t, c.codes, code, "%+v", c)
		if got != nil {
			require.Equal(t, "web.shop", got.Host, "%+v", c)
		}
	}
}

// TestRealHeadersHTTP2: a rule judges all the values that the application sees, by HTTP/2 too.
func TestRealHeadersHTTP2(t *testing.T) {
	m := realPair(t, false)
	web := m.addr("127.0.77.1", "PORT_WEB")
	tier := func(v string) field { return field{Name: "x-tier", Value: v} }
	for _, c := range []struct {
		fields []field
		codes  []int
	}{
		{[]field{tier("gold")}, []int{200}}, {[]field{tier("silver")}, []int{200}}, {nil, []int{404}}, {[]field{tier("")}, []int{404}}, {[]field{tier("golden")}, []int{404}},
		{[]field{tier("gold"), tier("iron")}, []int{404}}, {[]field{tier("iron"), tier("gold")}, []int{404}}, {[]field{tier("gold"), tier("gold")}, []int{404}},
		{[]field{tier("gold,iron")}, []int{404}}, {[]field{tier("gold\x00")}, []int{400, 0}}, {[]field{tier("gold\r\nx-admin: 1")}, []int{400, 0}}, {[]field{tier("gold\n")}, []int{400, 0}},
		{[]field{tier(" gold")}, []int{200, 404, 400, 0}}, {[]field{tier("gold ")}, []int{200, 404, 400, 0}}, {[]field{tier("\tgold")}, []int{200, 404, 400, 0}},
		{[]field{{Name: "X-Tier", Value: "gold"}}, []int{400, 0}}, {[]field{{Name: "x_tier", Value: "gold"}}, []int{404}}, {[]field{{Name: "x-tier ", Value: "gold"}}, []int{400, 0}},
		{[]field{tier("gold"), {Name: "x_tier", Value: "iron"}}, []int{200}}, {[]field{tier("gold"), {Name: "connection", Value: "x-tier"}}, []int{200, 400, 0}},
	} {
		t.Run(fmt.Sprintf("%q", c.fields), func(t *testing.T) {
			t.Parallel()
			code, got := rawHTTP2(t, web, h2Request("GET", "/tier", "web.shop", c.fields...))
			require.Contains(t, c.codes, code)
			if got != nil {
				require.Len(t, got.Header.Values("X-Tier"), 1)
				require.Contains(t, []string{"gold", "silver"}, got.Header.Get("X-Tier"), "the judged value is what arrives")
				require.Empty(t, got.Header.Values("X_tier"))
			}
		})
	}
}

// TestRealOddHeaders: spellings of a judged header that parsers have disagreed about.
func TestRealOddHeaders(t *testing.T) {
	m := realPair(t, false)
	web := m.addr("127.0.77.1", "PORT_WEB")
	for _, c := range []struct {
		headers []string
		codes   []int
	}{
		{[]string{"X-Tier : gold"}, []int{400}}, {[]string{"X-Tier\t: gold"}, []int{400}}, {[]string{" X-Tier: gold"}, []int{400, 404}}, {[]string{"X-Tier:\tgold\t"}, []int{200}},
		{[]string{"X-Tier: gold\x00"}, []int{400}}, {[]string{"X-Tier: gold\x0b"}, []int{400, 404}}, {[]string{"X-Tier: iron\r\n gold"}, []int{400, 404}}, {[]string{"X-Tier:\r\n gold"}, []int{400, 404, 200}},
		{[]string{"X-Tier: gold", "x-tier: iron"}, []int{404}}, {[]string{"X-Tier: gold", "X-TIER:"}, []int{404}}, {[]string{"X-Tier: gold,"}, []int{404}}, {[]string{"X-Tier: ,gold"}, []int{404}},
		{[]string{"X-Tier: \"gold\""}, []int{404}}, {[]string{"X-Tier: gold;q=1"}, []int{404}}, {[]string{"X-Tier: go ld"}, []int{404}}, {[]string{"X-Tier: ｇold"}, []int{404}},
		{[]string{"X-Tier: gold\u200b"}, []int{404}}, {[]string{"X-Tier: %67old"}, []int{404}}, {[]string{"X-Tier: \\x67old"}, []int{404}},
		{[]string{"X-Tier: gold#"}, []int{404}}, {[]string{"X-Tier: gold?x"}, []int{404}}, {[]string{"X-Tier: iron/../gold"}, []int{404}},
		{[]string{"X-Tier: =?utf-8?q?gold?="}, []int{404}}, {[]string{"X-Tier*: utf-8''gold"}, []int{404}}, {[]string{"X-Tier: &#103;old"}, []int{404}},
		{[]string{"X-Tier: gold\\"}, []int{404}}, {[]string{"X-Tier: (gold)"}, []int{404}}, {[]string{"X-Tier: iron|gold"}, []int{404}},
		{[]string{"X\u2010Tier: gold"}, []int{400, 404}}, {[]string{"X.Tier: gold"}, []int{404}}, {[]string{"XTier: gold"}, []int{404}},
		{[]string{"X-Tier: gold", "Connection: X-Tier"}, []int{200, 400, 404}}, {[]string{"Transfer-Encoding: chunked", "Content-Length: 5", "X-Tier: gold"}, []int{400}},
	} {
		code, got := raw(t, web, "GET", "/tier", "web.shop", c.headers...)
		require.Contains(t, c.codes, code, "%q", c.headers)
		if got != nil {
			require.Equal(t, []string{"gold"}, got.Header.Values("X-Tier"), "%q: the judged value is what arrives", c.headers)
		}
	}
}

// TestRealDottedAccounts: the dot of a name is a dot. Principals that a pattern would take for the granted one are not.
func TestRealDottedAccounts(t *testing.T) {
	more := `
---
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: dotted, namespace: shop}
spec:
  destination: {kind: ServiceAccount, name: shop, namespace: shop}
  sources: [{kind: ServiceAccount, name: a.b, namespace: client}]
  rules: [{kind: HTTPRouteGroup, name: routes, matches: [exact]}]
`
	for principal, want := range map[string]int{
		"a.b.client.cluster.local": 200, "aXb.client.cluster.local": 503, "a.bXclient.cluster.local": 503, "x.a.b.client.cluster.local": 503,
	} {
		t.Run(principal, func(t *testing.T) {
			m := newRealMeshWith(t, false, more)
			serve(t, m.addr("127.0.0.1", "PORT_WEB"))
			m.start(t, "shop.shop", "shop.shop.cluster.local")
			m.start(t, "client.client", principal)
			code, _ := raw(t, m.addr("127.0.77.1", "PORT_WEB"), "GET", "/exact", "web.shop")
			require.Equal(t, want, code)
		})
	}
}

// TestRealHeaderLimits: a request's headers take no more than they may, by either version of HTTP, and the sidecar lives on.
func TestRealHeaderLimits(t *testing.T) {
	m := realPair(t, false)
	web := m.addr("127.0.77.1", "PORT_WEB")
	many := func(n int, size int) (lines []string, fields []field) {
		for i := range n {
			name, value := fmt.Sprintf("x-%d", i), strings.Repeat("v", size)
			lines, fields = append(lines, name+": "+value), append(fields, field{Name: name, Value: value})
		}
		return lines, fields
	}
	for _, c := range []struct {
		count, size int
		fits        bool
	}{{50, 10, true}, {10, 5000, true}, {101, 10, false}, {10, 7000, false}, {1000, 100, false}} {
		lines, fields := many(c.count, c.size)
		code, _ := raw(t, web, "GET", "/exact", "web.shop", lines...)
		code2, _ := rawHTTP2(t, web, h2Request("GET", "/exact", "web.shop", fields...))
		if c.fits {
			require.Equal(t, []int{200, 200}, []int{code, code2}, "%+v", c)
			continue
		}
		require.Equal(t, 431, code, "%+v", c)
		require.Contains(t, []int{431, 0}, code2, "%+v", c)
	}
	var crumbs []field
	for range 20_000 {
		crumbs = append(crumbs, field{Name: "cookie", Value: "a"})
	}
	code, got := rawHTTP2(t, web, h2Request("GET", "/exact", "web.shop", crumbs...))
	require.Nil(t, got)
	require.Contains(t, []int{431, 400, 0}, code, "a thousand crumbs of one cookie")
	code, _ = raw(t, web, "GET", "/exact", "web.shop")
	require.Equal(t, 200, code)
}

// TestRealStreamLimit: of more requests at once than one connection may carry, the sidecar takes as many as it said.
func TestRealStreamLimit(t *testing.T) {
	m := realPair(t, false)
	require.EqualValues(t, 1024, announcedStreams(t, m.addr("127.0.77.1", "PORT_WEB")))
}

// envoyHeaders are headers by which a client could steer a proxy that takes it for one of its own.
var envoyHeaders = []string{
	"X-Envoy-Retry-On: 5xx", "X-Envoy-Retry-Grpc-On: cancelled", "X-Envoy-Max-Retries: 99", "X-Envoy-Retriable-Status-Codes: 200", "X-Envoy-Retriable-Header-Names: x",
	"X-Envoy-Upstream-Rq-Timeout-Ms: 1", "X-Envoy-Upstream-Rq-Per-Try-Timeout-Ms: 1", "X-Envoy-Upstream-Rq-Timeout-Alt-Response: 1", "X-Envoy-Upstream-Alt-Stat-Name: x",
	"X-Envoy-Upstream-Stream-Duration-Ms: 1", "X-Envoy-Expected-Rq-Timeout-Ms: 1", "X-Envoy-Hedge-On-Per-Try-Timeout: true", "X-Envoy-Force-Trace: 1", "X-Envoy-Internal: true",
	"X-Envoy-External-Address: 10.0.0.1", "X-Envoy-Original-Path: /fake", "X-Envoy-Original-Dst-Host: 127.0.0.1:1", "X-Envoy-Decorator-Operation: fake", "X-Envoy-Ip-Tags: x",
	"X-Envoy-Downstream-Service-Cluster: x", "X-Envoy-Downstream-Service-Node: x", "X-Forwarded-Client-Cert: By=me;Subject=you",
	"X-Osm-Downstream-Protocol: HTTP/2",
}

// TestRealEnvoyHeaders: nobody steers a sidecar by headers, neither a workload of the mesh nor a client outside.
func TestRealEnvoyHeaders(t *testing.T) {
	m := newRealMeshWith(t, false, `
---
apiVersion: policy.openservicemesh.io/v1alpha1
kind: IngressBackend
metadata: {name: web, namespace: shop}
spec:
  backends: [{name: web, port: {number: PORT_WEB, protocol: http}}]
  sources: [{kind: IPRange, name: 127.0.0.0/8}]
`)
	serve(t, m.addr("127.0.0.1", "PORT_WEB"))
	m.start(t, "shop.shop", "shop.shop.cluster.local")
	m.start(t, "client.client", "client.client.cluster.local")
	for who, addr := range map[string]string{"mesh": m.addr("127.0.77.1", "PORT_WEB"), "outside": m.addr(realIngressIP, "PORT_WEB")} {
		t.Run(who, func(t *testing.T) {
			code, got := raw(t, addr, "GET", "/exact", "web.shop", envoyHeaders...)
			require.Equal(t, 200, code)
			require.Equal(t, "HTTP/1.1", got.Proto, "the caller's protocol is not for the caller to say")
			for _, h := range envoyHeaders {
				name, value, _ := strings.Cut(h, ": ")
				require.NotContains(t, got.Header.Values(name), value, name)
			}
			require.Empty(t, got.Header.Values("X-Osm-Downstream-Protocol"))
		})
	}
}

// simulated keeps the simulator honest about the corpus: it says what Envoy said.
func TestSimulatorKnowsTheCorpus(t *testing.T) {
	m := newRealMesh(t, false)
	for spelling, canonical := range canonicalPaths() {
		got := m.simulate(t, "client.client", sim.Request{Method: "GET", Path: spelling, Host: "web.shop"})
		require.Equal(t, canonicalVerdict(canonical), got.Code, "%q: %s", spelling, got.By)
		if got.Code == 200 {
			path, _, _ := strings.Cut(got.Path, "?")
			require.Equal(t, canonical, path)
		}
	}
}
