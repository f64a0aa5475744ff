package feature

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"github.com/stretchr/testify/require"

	access "openservicemesh.io/osm/api/smi/access/v1alpha3"
	specs "openservicemesh.io/osm/api/smi/specs/v1alpha4"
	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/snapshot"
	"openservicemesh.io/osm/internal/pipeline"
	"openservicemesh.io/osm/internal/testkit/xdstest"
	"openservicemesh.io/osm/internal/xds"
)

// TestInboundWaitsForItsConfiguration: until a sidecar has its routes, its rules and its certificate, its inbound port
// refuses; from the first connection it takes the rules are in force. Callers try all the time.
func TestInboundWaitsForItsConfiguration(t *testing.T) {
	const server = "127.0.0.2" // the application itself is at 127.0.0.1, on the same port
	ca := newClientCA(t)
	port := application(t)
	s := start(t, xds.Options{Reissue: 20 * time.Millisecond})
	s.Certs.Fail(true)
	s.Tokens.Allow("t0", xds.Peer{Pod: storePod, Identity: store})
	resources := inboundOnly(t, ca.pem, server, port)
	e := startEnvoy(t, s)
	ctx := within(t, 60*time.Second)
	address := fmt.Sprintf("%s:%d", server, port)

	stop, ends := make(chan struct{}), map[string]int{}
	var tries sync.WaitGroup
	t.Cleanup(func() { tries.Wait() })
	finish := sync.OnceFunc(func() { close(stop) })
	t.Cleanup(finish)
	tries.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(2 * time.Millisecond):
				ends["stranger: "+plainly(address)]++
				ends["ungranted: "+ca.call(address, "thief.bookthief.cluster.local")]++
			}
		}
	})
	view := xdstest.NewView().Add(storePod, store, only(resources, envoy.Cluster, envoy.Listener)...)
	s.Hub.SetView(view)
	granted := func() string { return ca.call(address, "bookbuyer.bookbuyer.cluster.local") }
	require.Eventually(t, func() bool { return e.stat(t, "listener_manager.listener_added") == 1 }, 20*time.Second, 5*time.Millisecond)
	require.Never(t, func() bool { return granted() != "refused" }, 300*time.Millisecond, 10*time.Millisecond, "the listener waits for its routes")

	view = view.Next().Add(storePod, store, resources...)
	s.Hub.SetView(view)
	routes := names.InboundRoutes(port)
	require.Eventually(t, func() bool {
		return e.stat(t, "http.mesh-http-conn-manager."+routes+".rds."+routes+".config_reload") == 1
	},
		20*time.Second, 5*time.Millisecond, "the routes are there")
	require.Never(t, func() bool { return granted() != "refused" }, 300*time.Millisecond, 10*time.Millisecond, "the listener waits for its certificate")

	s.Certs.Fail(false)
	require.Eventually(t, func() bool { return granted() == "200" }, 20*time.Second, 5*time.Millisecond)
	require.NoError(t, s.Hub.WaitAcked(ctx, view.Gen))
	time.Sleep(100 * time.Millisecond) // some more tries
	finish()
	tries.Wait()
	for end := range ends {
		require.Contains(t, []string{"stranger: refused", "stranger: reset", "ungranted: refused", "ungranted: reset"}, end, "%v", ends)
	}
	require.Positive(t, ends["ungranted: refused"])
	require.Positive(t, ends["ungranted: reset"], "%v", ends)
}

var storePod = meshid.Pod{Namespace: "bookstore", Name: "bookstore", UID: "store"}

// inboundOnly generates what the sidecar of bookstore is sent for its inbound port, which listens at an address of its own
// since nothing is redirected here.
func inboundOnly(t *testing.T, roots []byte, ip string, port uint16) []*envoy.Resource {
	t.Helper()
	parts := snapshot.Parts{
		Mesh: snapshot.Mesh{TrustDomain: "cluster.local"}, Endpoints: snapshot.Endpoints{},
		Services: []*snapshot.Service{{ID: meshid.Service{Namespace: "bookstore", Name: "bookstore"}, Selector: map[string]string{"app": "bookstore"},
			ClusterIPs: []netip.Addr{netip.MustParseAddr("10.0.0.1")}, Ports: []snapshot.ServicePort{{Port: 80, TargetPort: port, Protocol: meshid.HTTP}}}},
		Pods: []*snapshot.Pod{{ID: storePod, Identity: store, Labels: map[string]string{"app": "bookstore"}, IPs: []netip.Addr{netip.MustParseAddr("10.0.0.2")}, ProxyUUID: "x"}},
	}
	group := &specs.HTTPRouteGroup{Spec: specs.HTTPRouteGroupSpec{Matches: []specs.HTTPMatch{{Name: "all", PathRegex: ".*"}}}}
	group.Namespace, group.Name = "bookstore", "g"
	target := &access.TrafficTarget{Spec: access.TrafficTargetSpec{
		Destination: access.IdentityBindingSubject{Kind: "ServiceAccount", Name: "bookstore", Namespace: "bookstore"},
		Sources:     []access.IdentityBindingSubject{{Kind: "ServiceAccount", Name: "bookbuyer", Namespace: "bookbuyer"}},
		Rules:       []access.TrafficTargetRule{{Kind: "HTTPRouteGroup", Name: "g", Matches: []string{"all"}}}}}
	target.Namespace, target.Name = "bookstore", "t"
	parts.Policies = snapshot.NewPolicies(map[string][]snapshot.Object{"HTTPRouteGroup": {group}, "TrafficTarget": {target}})
	out, l := configOf(t, roots, parts, storePod, names.ListenerInbound)
	l.Address.GetSocketAddress().Address = ip
	l.Address.GetSocketAddress().PortSpecifier = &corev3.SocketAddress_PortValue{PortValue: uint32(port)}
	return append(out, xdstest.Encode(envoy.Listener, l.Name, l))
}

func only(list []*envoy.Resource, types ...envoy.TypeURL) []*envoy.Resource {
	var out []*envoy.Resource
	for _, r := range list {
		for _, typ := range types {
			if r.Type == typ {
				out = append(out, r)
			}
		}
	}
	return out
}

// application answers on a loopback port.
func application(t *testing.T) uint16 {
	t.Helper()
	n := backend(t, "app")
	return uint16(n)
}

func plainly(address string) string {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return ended(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: bookstore.bookstore\r\n\r\n")
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return ended(err)
	}
	return line
}

// ended names how a connection failed: before anything took it, or after.
func ended(err error) string {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return "refused"
	}
	return "reset"
}

// clientCA signs certificates of clients.
type clientCA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newClientCA(t *testing.T) *clientCA {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &clientCA{cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// call asks as a sidecar of a principal does, and returns the status or how the connection ended.
func (c *clientCA) call(address, principal string) string {
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: principal}, DNSNames: []string{principal},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, c.cert, &c.key.PublicKey, c.key)
	if err != nil {
		return err.Error()
	}
	conf := &tls.Config{
		InsecureSkipVerify: true, //nolint:gosec // the server's certificate is not what is tested here
		Certificates:       []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: c.key}}, ServerName: "bookstore.bookstore.svc.cluster.local", NextProtos: []string{names.ALPNMesh},
	}
	// HTTP/2 without negotiating it, over TLS, as sidecars speak it.
	transport := &http.Transport{Protocols: &http.Protocols{}, DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&tls.Dialer{Config: conf}).DialContext(ctx, "tcp", address)
	}}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	req, err := http.NewRequest(http.MethodGet, "http://bookstore.bookstore/", nil)
	if err != nil {
		return err.Error()
	}
	resp, err := (&http.Client{Transport: transport, Timeout: 5 * time.Second}).Do(req)
	if err != nil {
		return ended(err)
	}
	defer func() { _ = resp.Body.Close() }()
	return strconv.Itoa(resp.StatusCode)
}

// configOf returns what the sidecar of a pod of the snapshot gets: one listener, decoded, and all that it refers to.
func configOf(t *testing.T, roots []byte, parts snapshot.Parts, pod meshid.Pod, listener string) ([]*envoy.Resource, *listenerv3.Listener) {
	t.Helper()
	view, err := pipeline.New(roots).Apply(snapshot.New(parts), snapshot.Changed{Config: true})
	require.NoError(t, err)
	require.Empty(t, view.Findings())
	key, ok := view.Place(pod)
	require.True(t, ok)
	var out []*envoy.Resource
	for _, typ := range []envoy.TypeURL{envoy.Cluster, envoy.Route, envoy.Secret} {
		out = append(out, view.Config(key).List(typ)...)
	}
	l := &listenerv3.Listener{}
	require.NoError(t, view.Config(key).Get(envoy.Listener, listener).Body().UnmarshalTo(l))
	return out, l
}
