package feature

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/snapshot"
	"openservicemesh.io/osm/internal/testkit/freeport"
	"openservicemesh.io/osm/internal/testkit/xdstest"
	"openservicemesh.io/osm/internal/xds"
)

// TestAcceptedNamesChange: who may answer for a service is a part of its cluster, so another account behind it is another
// cluster. Requests under way and connections of bytes outlive the change, no request fails, and whoever is not accepted
// any more gets no new connection.
func TestAcceptedNamesChange(t *testing.T) {
	ca := newClientCA(t)
	s := start(t, xds.Options{})
	s.Tokens.Allow("t0", xds.Peer{Pod: pod(0), Identity: buyer})
	e := startEnvoy(t, s)
	bytesPort := uint32(freeport.Get(t))
	ctx := within(t, 60*time.Second)
	v := xdstest.NewView()
	v.EDS["bookstore/bookstore|14001"] = xdstest.Endpoints("bookstore/bookstore|14001", 1, ca.requests(t))
	v.EDS["bookstore/bookstore|14002"] = xdstest.Endpoints("bookstore/bookstore|14002", 1, ca.echoes(t))
	client := &http.Client{Timeout: 10 * time.Second}
	ask := func(path string) int {
		req, _ := http.NewRequest(http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", e.port, path), nil)
		req.Host = "bookstore.bookstore"
		resp, err := client.Do(req)
		if err != nil {
			return 0
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	accept := func(accounts ...string) {
		t.Helper()
		v = v.Next().Add(pod(0), buyer, callsOf(t, ca.pem, e.port, bytesPort, accounts)...)
		s.Hub.SetView(v)
		require.NoError(t, s.Hub.WaitAcked(ctx, v.Gen))
		require.Eventually(t, func() bool { return e.stat(t, "cluster_manager.warming_clusters") == 0 }, 10*time.Second, 5*time.Millisecond)
		require.Empty(t, s.Hub.Rejections())
	}
	accept("bookstore")
	require.Eventually(t, func() bool { return ask("/") == 200 }, 10*time.Second, 5*time.Millisecond)
	kept := dialBytes(t, bytesPort)
	require.Equal(t, "before", said(t, kept, "before"))
	slow := make(chan int, 1)
	go func() { code := ask("/slow"); slow <- code }()

	stop, ends := make(chan struct{}), map[int]int{}
	var load sync.WaitGroup
	load.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				code := ask("/")
				ends[code]++
			}
		}
	})
	for range 3 {
		accept("bookstore", "bookstore-v2")
		accept("bookstore")
	}
	require.Equal(t, "after", said(t, kept, "after"))
	accept("bookstore-v2", "bookstore")
	close(stop)
	load.Wait()
	require.Len(t, ends, 1, "%v", ends)
	require.Greater(t, ends[200], 7)
	require.Equal(t, 200, <-slow, "a request under way is finished")

	accept("bookstore-v2")
	require.Equal(t, "still", said(t, kept, "still"), "the connection was made when it was right")
	require.Eventually(t, func() bool { return ask("/") == 503 }, 10*time.Second, 5*time.Millisecond)
	require.Equal(t, "closed", said(t, dialBytes(t, bytesPort), "x"))
	accept()
	require.Equal(t, "closed", said(t, dialBytes(t, bytesPort), "x"), "where nobody is behind a service, nobody is accepted")
	accept("bookstore")
	require.Eventually(t, func() bool { return ask("/") == 200 }, 10*time.Second, 5*time.Millisecond)
	require.Equal(t, "again", said(t, dialBytes(t, bytesPort), "again"))
	t.Logf("%d requests during seven changes, none failed", ends[200])
}

// callsOf generates what a sidecar is sent for calls to a service behind which some accounts are. Its listener is at the
// loopback address, since nothing is redirected here.
func callsOf(t *testing.T, roots []byte, http, bytes uint32, accounts []string) []*envoy.Resource {
	t.Helper()
	client := meshid.Pod{Namespace: buyer.Namespace, Name: "client", UID: "client"}
	parts := snapshot.Parts{
		Mesh: snapshot.Mesh{TrustDomain: names.DefaultTrustDomain, Permissive: true}, Endpoints: snapshot.Endpoints{},
		Services: []*snapshot.Service{{ID: meshid.Service{Namespace: "bookstore", Name: "bookstore"}, Selector: map[string]string{"app": "bookstore"},
			ClusterIPs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Ports: []snapshot.ServicePort{
				{Port: uint16(http), TargetPort: 14001, Protocol: meshid.HTTP}, {Port: uint16(bytes), TargetPort: 14002, Protocol: meshid.TCP}}}},
		Pods: []*snapshot.Pod{{ID: client, Identity: buyer, ProxyUUID: "x", IPs: []netip.Addr{netip.MustParseAddr("10.0.0.2")}}},
	}
	for _, a := range accounts {
		parts.Pods = append(parts.Pods, &snapshot.Pod{ID: meshid.Pod{Namespace: "bookstore", Name: a, UID: a}, ProxyUUID: a,
			Identity: meshid.Identity{Namespace: "bookstore", ServiceAccount: a}, Labels: map[string]string{"app": "bookstore"}})
	}
	out, l := configOf(t, roots, parts, client, names.ListenerOutbound)
	l.Address = loopback(http)
	l.AdditionalAddresses = []*listenerv3.AdditionalAddress{{Address: loopback(bytes)}}
	return append(out, xdstest.Encode(envoy.Listener, l.Name, l))
}

func loopback(port uint32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: "127.0.0.1", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port}}}}
}

// bookstoreTLS takes TLS connections as the sidecar of bookstore does.
func (c *clientCA) bookstoreTLS(t *testing.T) (net.Listener, uint32) {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(3), DNSNames: []string{"bookstore.bookstore.cluster.local"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, c.cert, &c.key.PublicKey, c.key)
	require.NoError(t, err)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{NextProtos: []string{names.ALPNMesh}, MinVersion: tls.VersionTLS12,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: c.key}}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l, uint32(l.Addr().(*net.TCPAddr).Port)
}

// requests answers HTTP/2 that was not negotiated, as sidecars speak it, and returns its port.
func (c *clientCA) requests(t *testing.T) uint32 {
	t.Helper()
	return c.handles(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			time.Sleep(3 * time.Second)
		}
	}))
}

// handles is requests with a handler.
func (c *clientCA) handles(t *testing.T, handler http.Handler) uint32 {
	t.Helper()
	l, port := c.bookstoreTLS(t)
	srv := &http.Server{Protocols: &http.Protocols{}, ReadHeaderTimeout: time.Minute, Handler: handler}
	srv.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = srv.Serve(notKnownToBeTLS{l}) }()
	t.Cleanup(func() { _ = srv.Close() })
	return port
}

// notKnownToBeTLS keeps the HTTP server from going by the ALPN, which names no version of HTTP.
type notKnownToBeTLS struct{ net.Listener }

func (l notKnownToBeTLS) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return struct{ net.Conn }{conn}, err
}

// echoes sends back what it gets, and returns its port.
func (c *clientCA) echoes(t *testing.T) uint32 {
	t.Helper()
	l, port := c.bookstoreTLS(t)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(conn, conn); _ = conn.Close() }()
		}
	}()
	return port
}

// dialBytes opens a connection of bytes through the sidecar.
func dialBytes(t *testing.T, port uint32) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", fmt.Sprint("127.0.0.1:", port), time.Second)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// said sends words and returns what comes back, or "closed".
func said(t *testing.T, conn net.Conn, words string) string {
	t.Helper()
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, _ = io.WriteString(conn, words)
	back := make([]byte, len(words))
	if _, err := io.ReadFull(conn, back); err != nil {
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
		return "closed"
	}
	return string(back)
}
