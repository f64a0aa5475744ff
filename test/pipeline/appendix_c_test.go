package pipeline

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/sim"
)

// TestAppendixC is the outcome matrix of the reference, row for row, as far as it is built: what a client sees. Rows about
// the debug server are not its business; circuit breakers are TestRealCircuitBreaker's; those about injection are not the
// sidecar's.
func TestAppendixC(t *testing.T) {
	const grant = "walkthrough-5-allow"
	buyer, thief := "bookbuyer.bookbuyer", "bookthief.bookthief"
	store := "http://bookstore.bookstore:14001"
	for _, row := range []struct {
		situation, in string
		call          call
		sees          string
	}{
		{"no permitted upstream, egress off", "walkthrough-4-deny", call{From: buyer, HTTP: "GET " + store + "/buy-a-book/new"}, "refused"},
		{"no permitted upstream, egress off (other pod)", grant, call{From: thief, HTTP: "GET " + store + "/buy-a-book/new"}, "refused"},
		{"permitted upstreams exist, destination not among them, egress off", grant, call{From: buyer, TCP: "bookwarehouse.bookwarehouse:14001"}, "reset"},
		{"same, outside of the mesh", grant, call{From: buyer, TCP: "93.184.216.34:443"}, "reset"},
		{"same, egress on", "egress-on-smi-upstream", call{From: "client.client", TCP: "93.184.216.34:443"}, "passthrough"},
		{"no permitted upstream, egress on", "egress-on-smi-no-upstream", call{From: "client.client", TCP: "93.184.216.34:443"}, "passthrough"},
		{"permissive, egress on", "walkthrough-3-permissive", call{From: buyer, TCP: "93.184.216.34:443"}, "passthrough"},
		{"permissive", "walkthrough-3-permissive", call{From: thief, HTTP: "GET " + store + "/anything"}, "answered 200"},
		{"granted", grant, call{From: buyer, HTTP: "GET " + store + "/buy-a-book/new"}, "answered 200"},
		{"plaintext client outside mesh, permissive", "walkthrough-3-permissive", call{From: "outside", TCP: "bookstore.bookstore:14001"}, "reset"},
		{"plaintext client outside mesh, SMI", grant, call{From: "outside", TCP: "bookstore.bookstore:14001"}, "reset"},
		{"plaintext client outside mesh, TCP service", "protocol-tcp", call{From: "outside", TCP: "shop.shop:5432"}, "reset"},
		{"HTTP route not defined at server", grant, call{From: buyer, HTTP: "GET " + store + "/nope"}, "answered 404"},
		{"route defined, principal not allowed", "target-union", call{From: "client.client", HTTP: "GET http://shop.shop/anything"}, "answered 403"},
		{"TCP port not allowed", "target-tcproute-ports", call{From: "client.client", TCP: "db.shop:5433"}, "reset"},
		{"no healthy upstream", "service-without-pods", call{From: "client.client", HTTP: "GET http://shop.shop/"}, "answered 503"},
		{"no healthy upstream, TCP", "service-without-pods", call{From: "client.client", TCP: "shop.shop:90"}, "reset"},
		{"mTLS verify failure: the server has no sidecar", "not-injected", call{From: "client.client", HTTP: "GET http://shop.shop/"}, "answered 503"},
		{"IngressBackend, from its source", "ingress-http", call{From: "outside", Source: "10.1.0.30", HTTP: "GET http://shop.shop/"}, "answered 200"},
		{"IngressBackend, from elsewhere", "ingress-http", call{From: "outside", Source: "10.1.0.99", HTTP: "GET http://shop.shop/"}, "reset"},
		{"IngressBackend https, without a certificate", "ingress-https", call{From: "outside", TLS: true, SNI: "a.example", HTTP: "GET http://shop.shop/"}, "reset"},
		{"IngressBackend https, another's certificate", "ingress-https", call{From: "outside", TLS: true, SNI: "a.example", Principal: "x.y.cluster.local", HTTP: "GET http://shop.shop/"}, "reset"},
		{"egress policy", "egress-http", call{From: "client.client", To: "203.0.113.10:80", HTTP: "GET http://www.example.com/"}, "answered 200"},
		{"egress policy, account not among its sources", "egress-http", call{From: "other.client", To: "203.0.113.10:80", HTTP: "GET http://www.example.com/"}, "refused"},
		{"external authorization denies", "external-authorization", call{From: "client.client", HTTP: "GET http://shop.shop/look", Around: sim.Around{Authorizer: sim.No}}, "answered 403"},
		{"external authorization does not answer", "external-authorization", call{From: "client.client", HTTP: "GET http://shop.shop/look"}, "answered 403"},
		{"local rate limit", "settings-local-rate-http", call{From: "client.client", HTTP: "GET http://shop.shop/look", Around: sim.Around{Spent: true}}, "answered 429"},
		{"local rate limit, configured code", "settings-local-rate-http", call{From: "client.client", HTTP: "GET http://shop.shop/buy/1", Around: sim.Around{Spent: true}}, "answered 503"},
		{"global rate limit", "settings-global-rate-http", call{From: "client.client", HTTP: "GET http://shop.shop/", Around: sim.Around{Quota: sim.No}}, "answered 429"},
		{"local rate limit, TCP", "settings-local-rate-tcp", call{From: "client.client", TCP: "shop.shop:5432", Around: sim.Around{Spent: true}}, "reset"},
		{"global rate limit, TCP", "settings-global-rate-tcp", call{From: "client.client", TCP: "shop.shop:5432", Around: sim.Around{Quota: sim.No}}, "reset"},
		{"no IngressBackend", "kinds-not-supported", call{From: "outside", TCP: "shop.shop:80"}, "reset"},
	} {
		t.Run(row.situation, func(t *testing.T) {
			got := newWorld(t, readCase(t, row.in)).outcome(t, row.call)
			require.Equal(t, row.sees, got.String(), got.By)
		})
	}
}

// TestCertificatesAreChecked: on either side a certificate of the mesh that is another's does not do, and outside of the
// mesh there is none.
func TestCertificatesAreChecked(t *testing.T) {
	w := newWorld(t, readCase(t, "protocol-tcp-smi"))
	h := newWorld(t, readCase(t, "protocol-http"))
	to := netip.MustParseAddrPort("10.0.0.10:5432")
	client := func(w *world, name string) *sim.Proxy {
		p, err := w.mesh.Find(name)
		require.NoError(t, err)
		return &sim.Proxy{Principal: w.mesh.Principal(p), CertSecret: names.SecretServiceCert(p.Identity()), Resources: w.view.Config(p.Key), Endpoints: w.view.Endpoints}
	}
	as := func(w *world, principal string) sim.Mesh {
		return func(a netip.AddrPort) *sim.Proxy {
			p := w.at(a)
			p.Principal = principal
			return p
		}
	}
	t.Run("impostor of a server", func(t *testing.T) {
		out, err := sim.FromMesh(client(w, "client.client"), as(w, "other.other.cluster.local"), sim.Call{To: to})
		require.NoError(t, err)
		require.Equal(t, "reset", out.String(), out.By)
		out, err = sim.FromMesh(client(h, "curl.curl"), as(h, "curl.curl.cluster.local"),
			sim.Call{To: netip.MustParseAddrPort("10.0.0.10:14001"), HTTP: &sim.Request{Method: "GET", Path: "/", Host: "httpbin.httpbin"}})
		require.NoError(t, err)
		require.Equal(t, "answered 503", out.String(), out.By)
	})
	t.Run("client with another's name", func(t *testing.T) {
		for _, principal := range []string{"other.other.cluster.local", "client.client", "client.client.cluster.local.evil", "xclient.client.cluster.local", ""} {
			c := client(w, "client.client")
			c.Principal = principal
			out, err := sim.FromMesh(c, w.at, sim.Call{To: to})
			require.NoError(t, err)
			require.Equal(t, "reset", out.String(), principal)
		}
	})
	t.Run("cluster that shows another's certificate", func(t *testing.T) {
		c := client(w, "client.client")
		c.CertSecret = names.SecretServiceCert(meshid.Identity{Namespace: "other", ServiceAccount: "other"})
		_, err := sim.FromMesh(c, w.at, sim.Call{To: to})
		require.ErrorContains(t, err, "is not the client's")
	})
	t.Run("strangers", func(t *testing.T) {
		server := w.at(netip.MustParseAddrPort("10.1.0.10:5432"))
		for _, who := range []sim.Stranger{
			{}, {TLS: true}, {TLS: true, ServerName: "shop.shop.svc.cluster.local"}, {TLS: true, ALPN: "osm"}, {TLS: true, ServerName: "shop.shop.svc.cluster.local", ALPN: "osm"},
			{TLS: true, ServerName: "shop.shop.svc.cluster.local", ALPN: "h2"},
		} {
			out, err := sim.FromOutside(server, netip.MustParseAddrPort("10.1.0.10:5432"), who)
			require.NoError(t, err)
			require.Equal(t, "reset", out.String(), "%+v", who)
		}
		out, err := sim.FromOutside(client(w, "client.client"), netip.MustParseAddrPort("10.1.0.20:80"), sim.Stranger{})
		require.NoError(t, err)
		require.Equal(t, "refused", out.String(), "a pod that backs no service has no inbound listener")
	})
}
