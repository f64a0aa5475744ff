package pipeline

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/core/snapshot"
	"openservicemesh.io/osm/internal/pipeline"
	"openservicemesh.io/osm/internal/testkit/envoycheck"
	"openservicemesh.io/osm/internal/testkit/freeport"
)

// realPair starts the applications, the server's sidecar and the client's.
func realPair(t *testing.T, permissive bool) *realMesh {
	t.Helper()
	m := newRealMesh(t, permissive)
	serve(t, m.addr("127.0.0.1", "PORT_WEB"))
	serve(t, m.addr("127.0.0.1", "PORT_RPC"))
	serve(t, m.addr("127.0.0.1", "PORT_ADMIN"))
	greet(t, m.addr("127.0.0.1", "PORT_DB"))
	m.start(t, "shop.shop", "shop.shop.cluster.local")
	m.start(t, "client.client", "client.client.cluster.local")
	return m
}

// TestRealProtocols: whatever sidecars speak between them, the application is spoken to as its caller speaks.
func TestRealProtocols(t *testing.T) {
	for _, permissive := range []bool{true, false} {
		t.Run(fmt.Sprintf("permissive=%v", permissive), func(t *testing.T) {
			m := realPair(t, permissive)
			web := m.addr("127.0.77.1", "PORT_WEB")

			code, got := raw(t, web, "GET", "/public/x", "web.shop", "X-Osm-Downstream-Protocol: HTTP/2", "X-Envoy-Retry-On: 5xx", "X-Envoy-Upstream-Rq-Timeout-Ms: 1", "X-Forwarded-Client-Cert: By=me", "X-Envoy-Original-Path: /fake", "X-Envoy-Decorator-Operation: fake", "X-Envoy-Original-Dst-Host: 127.0.0.1:1", "X-Envoy-Force-Trace: 1", "X-Envoy-Hedge-On-Per-Try-Timeout: true", "X-Envoy-Max-Retries: 99")
			require.Equal(t, 200, code)
			require.Equal(t, "HTTP/1.1", got.Proto)
			for _, h := range []string{"X-Osm-Downstream-Protocol", "X-Envoy-Retry-On", "X-Envoy-Upstream-Rq-Timeout-Ms", "X-Forwarded-Client-Cert", "X-Envoy-Internal", "X-Envoy-Original-Path", "X-Envoy-Original-Dst-Host", "X-Envoy-Force-Trace", "X-Envoy-Hedge-On-Per-Try-Timeout", "X-Envoy-Max-Retries", "X-Envoy-Decorator-Operation"} {
				require.Empty(t, got.Header.Values(h), h)
			}

			resp, err := h2c().Get("http://" + web + "/public/x")
			require.NoError(t, err)
			require.Equal(t, 404, resp.StatusCode, "an address is no host of the service")
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+web+"/public/x", nil)
			require.NoError(t, err)
			req.Host = "web.shop"
			resp, err = h2c().Do(req)
			require.NoError(t, err)
			require.Equal(t, 200, resp.StatusCode)
			got = decode(t, resp.Body)
			require.Equal(t, "HTTP/2.0", got.Proto)
			require.Empty(t, got.Header.Values("X-Osm-Downstream-Protocol"))

			req, err = http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+m.addr("127.0.77.2", "PORT_RPC")+"/pkg.Service/Method", strings.NewReader("x"))
			require.NoError(t, err)
			req.Host = "rpc.shop"
			req.Header.Set("Content-Type", "application/grpc")
			req.Header.Set("Te", "trailers")
			resp, err = h2c().Do(req)
			require.NoError(t, err)
			require.Equal(t, 200, resp.StatusCode)
			got = decode(t, resp.Body)
			_, err = io.Copy(io.Discard, resp.Body)
			require.NoError(t, err)
			require.Equal(t, "HTTP/2.0", got.Proto)
			require.Empty(t, got.Header.Values("X-Osm-Downstream-Protocol"))
			require.Equal(t, "0", resp.Trailer.Get("Grpc-Status"))
		})
	}
}

// TestRealWebSocket: an upgrade passes both sidecars, which speak HTTP/2 between them.
func TestRealWebSocket(t *testing.T) {
	m := realPair(t, false)
	conn, err := net.Dial("tcp", m.addr("127.0.77.1", "PORT_WEB"))
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	fmt.Fprint(conn, "GET /socket HTTP/1.1\r\nHost: web.shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n")
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
	fmt.Fprint(conn, "ping")
	got := make([]byte, 4)
	_, err = io.ReadFull(r, got)
	require.NoError(t, err)
	require.Equal(t, "ping", string(got))
}

// TestRealServerFirst: a server that speaks first is heard at once.
func TestRealServerFirst(t *testing.T) {
	m := realPair(t, true)
	conn, err := net.Dial("tcp", m.addr("127.0.77.3", "PORT_DB"))
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(2*time.Second)))
	line, err := bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "hello\n", line)
}

// TestRealStrangers: without a certificate of the mesh nothing is answered; plaintext is reset, not closed politely.
func TestRealStrangers(t *testing.T) {
	m := realPair(t, true)
	for _, port := range []string{"PORT_WEB", "PORT_RPC", "PORT_DB"} {
		conn, err := net.Dial("tcp", m.addr("127.0.88.1", port))
		require.NoError(t, err)
		require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
		fmt.Fprint(conn, "GET /public/x HTTP/1.1\r\nHost: web.shop\r\n\r\n")
		n, err := conn.Read(make([]byte, 100))
		require.Zero(t, n)
		require.True(t, errors.Is(err, syscall.ECONNRESET), "%s: %v", port, err)
		require.NoError(t, conn.Close())
	}
}

// TestRealPassthroughIsNoLoop: who connects to the outbound listener itself, instead of being redirected to it, is not
// passed on to where he connected, which would be the listener again.
func TestRealPassthroughIsNoLoop(t *testing.T) {
	c := readCase(t, "egress-on-smi-no-upstream")
	ca := newAuthority(t)
	view, err := pipeline.New(ca.bundle).Apply(c.snap, snapshot.Changed{Config: true})
	require.NoError(t, err)
	p, err := c.mesh.Find("client.client")
	require.NoError(t, err)
	b, err := envoycheck.Static(view.Config(p.Key), view.Endpoints, ca.issue(t, "client.client.cluster.local"))
	require.NoError(t, err)
	require.Len(t, b.StaticResources.Listeners, 1)
	port := int(freeport.Get(t))
	b.StaticResources.Listeners[0].Address = tcpAddress("127.0.0.1", uint32(port))
	runEnvoy(t, b)
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	waitFor(t, addr)
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(5*time.Second)))
	fmt.Fprint(conn, "hello\n")
	n, err := conn.Read(make([]byte, 10))
	require.Zero(t, n)
	require.True(t, errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET), "%v", err)
}

// TestRealRefused: a sidecar that may call nothing listens nowhere, so the kernel refuses.
func TestRealRefused(t *testing.T) {
	m := newRealMesh(t, false)
	m.start(t, "shop.shop", "shop.shop.cluster.local")
	_, err := net.Dial("tcp", m.addr("127.0.77.1", "PORT_WEB"))
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
}
