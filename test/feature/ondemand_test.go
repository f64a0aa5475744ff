package feature

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"github.com/stretchr/testify/require"

	split "openservicemesh.io/osm/api/smi/split/v1alpha2"
	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/snapshot"
	"openservicemesh.io/osm/internal/testkit/freeport"
	"openservicemesh.io/osm/internal/testkit/xdsserver"
	"openservicemesh.io/osm/internal/testkit/xdstest"
	"openservicemesh.io/osm/internal/xds"
)

// market is services of bookstore, each found at a loopback port of its own, and a real sidecar that may call them all.
type market struct {
	t      *testing.T
	ca     *clientCA
	server *xdsserver.Server
	e      *sidecar
	rec    *recorder
	// stalls are the services; ports are where the caller finds them. The listener has all ports from the beginning, since
	// another address is another listener.
	stalls   []stall
	ports    map[string]uint32
	view     *xdstest.View
	clusters snapshot.ClusterDiscovery
	split    *split.TrafficSplit
	// missing is a service whose cluster the control plane does not know, though routes lead there.
	missing string
}

// stall is a service whose pods listen on a port of loopback.
type stall struct {
	name     string
	protocol meshid.Protocol
	backend  uint32
	// beside is a service whose port it has too, at an address where nobody listens here.
	beside string
}

// openMarket starts the sidecar and tells it of the stalls; later is a service to come.
func openMarket(t *testing.T, clusters snapshot.ClusterDiscovery, stalls func(ca *clientCA) []stall, later ...string) *market {
	t.Helper()
	m := &market{t: t, ca: newClientCA(t), ports: map[string]uint32{}, view: xdstest.NewView(), clusters: clusters, rec: &recorder{}}
	m.stalls = stalls(m.ca)
	for _, s := range m.stalls {
		if m.ports[s.name] = m.ports[s.beside]; s.beside == "" {
			m.ports[s.name] = uint32(freeport.Get(t))
		}
	}
	for _, name := range later {
		m.ports[name] = uint32(freeport.Get(t))
	}
	m.server = start(t, xds.Options{Observer: m.rec})
	m.server.Tokens.Allow("t0", xds.Peer{Pod: pod(0), Identity: buyer})
	m.e = startEnvoy(t, m.server)
	m.configure()
	require.Eventually(t, func() bool { return m.e.stat(t, "listener_manager.listener_create_success") == 1 }, 20*time.Second, 5*time.Millisecond)
	return m
}

// configure tells the sidecar of the market as it is now and waits until it has acknowledged.
func (m *market) configure() {
	m.t.Helper()
	parts := snapshot.Parts{
		Mesh:      snapshot.Mesh{TrustDomain: names.DefaultTrustDomain, Permissive: true, Clusters: m.clusters},
		Endpoints: snapshot.Endpoints{},
		Pods: []*snapshot.Pod{
			{ID: pod(0), Identity: buyer, ProxyUUID: "x", IPs: []netip.Addr{netip.MustParseAddr("10.0.0.2")}},
			{ID: storePod, Identity: store, ProxyUUID: "s", Labels: map[string]string{"app": "bookstore"}},
		},
	}
	m.view = m.view.Next()
	for i, s := range m.stalls {
		id := meshid.Service{Namespace: "bookstore", Name: s.name}
		target := uint16(14000 + i)
		ip := "127.0.0.1"
		if s.beside != "" {
			ip = fmt.Sprint("127.0.1.", i)
		}
		parts.Services = append(parts.Services, &snapshot.Service{ID: id, Selector: map[string]string{"app": "bookstore"},
			ClusterIPs: []netip.Addr{netip.MustParseAddr(ip)},
			Ports:      []snapshot.ServicePort{{Port: uint16(m.ports[s.name]), TargetPort: target, Protocol: s.protocol}}})
		cluster := names.UpstreamCluster(id, target)
		m.view.EDS[cluster] = xdstest.Endpoints(cluster, 1, s.backend)
	}
	if m.split != nil {
		parts.Policies = snapshot.NewPolicies(map[string][]snapshot.Object{"TrafficSplit": {m.split}})
	}
	out, l := configOf(m.t, m.ca.pem, parts, pod(0), names.ListenerOutbound)
	ports := slices.Compact(slices.Sorted(maps.Values(m.ports)))
	l.Address = loopback(ports[0])
	l.AdditionalAddresses = nil
	for _, p := range ports[1:] {
		l.AdditionalAddresses = append(l.AdditionalAddresses, &listenerv3.AdditionalAddress{Address: loopback(p)})
	}
	out = slices.DeleteFunc(out, func(r *envoy.Resource) bool {
		return r.Type == envoy.Cluster && strings.Contains(r.Name, m.missing) && m.missing != ""
	})
	m.view.Add(pod(0), buyer, append(out, xdstest.Encode(envoy.Listener, l.Name, l))...)
	m.server.Hub.SetView(m.view)
	require.NoError(m.t, m.server.Hub.WaitAcked(within(m.t, 20*time.Second), m.view.Gen))
	require.Empty(m.t, m.server.Hub.Rejections())
}

// held is how many clusters of services the sidecar has.
func (m *market) held() int { return m.e.stat(m.t, "cluster_manager.active_clusters") - 1 }

func (m *market) request(method, service, path string, body io.Reader) (int, string, error) {
	req, err := http.NewRequest(method, fmt.Sprintf("http://127.0.0.1:%d%s", m.ports[service], path), body)
	if err != nil {
		return 0, "", err
	}
	req.Host = service + ".bookstore"
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

func (m *market) get(service string) int {
	code, _, _ := m.request(http.MethodGet, service, "/", nil)
	return code
}

func (m *market) dial(service string) net.Conn { return dialBytes(m.t, m.ports[service]) }

// digits answers with how many bytes the request had, and echoes at once what it is sent to /echo.
func (c *clientCA) digits(t *testing.T, name string) uint32 {
	t.Helper()
	return c.handles(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/echo" {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			lines := bufio.NewScanner(r.Body)
			for lines.Scan() {
				_, _ = fmt.Fprintln(w, lines.Text())
				_ = http.NewResponseController(w).Flush()
			}
			return
		}
		n, _ := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprint(w, name, " ", n)
	}))
}

// greets speaks first, and then echoes.
func (c *clientCA) greets(t *testing.T, word string) uint32 {
	t.Helper()
	l, port := c.bookstoreTLS(t)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.WriteString(conn, word)
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
	return port
}

func heard(t *testing.T, conn net.Conn, n int) string {
	t.Helper()
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	back := make([]byte, n)
	_, err := io.ReadFull(conn, back)
	require.NoError(t, err)
	return string(back)
}

func TestOnDemandFirstCalls(t *testing.T) {
	m := openMarket(t, snapshot.ClustersOnDemand, func(ca *clientCA) []stall {
		web, bytes := ca.digits(t, "web"), ca.greets(t, "hello")
		return []stall{{"web", meshid.HTTP, web, ""}, {"upload", meshid.HTTP, web, ""}, {"stream", meshid.GRPC, web, ""}, {"crowd", meshid.HTTP, web, ""},
			{"apex", meshid.HTTP, web, ""}, {"one", meshid.HTTP, ca.digits(t, "one"), "apex"}, {"two", meshid.HTTP, ca.digits(t, "two"), "apex"},
			{"db", meshid.TCP, bytes, ""}, {"queue", meshid.TCP, bytes, ""}, {"never", meshid.HTTP, web, ""}}
	})
	require.Zero(t, m.held())
	begin := time.Now()
	code, text, err := m.request(http.MethodGet, "web", "/", nil)
	require.NoError(t, err)
	require.Equal(t, "200 web 0", fmt.Sprint(code, " ", text))
	t.Logf("first call: %v", time.Since(begin))
	begin = time.Now()
	require.Equal(t, 200, m.get("web"))
	t.Logf("second call: %v", time.Since(begin))
	require.Equal(t, 1, m.held())

	t.Run("a body of some MB", func(t *testing.T) {
		code, text, err := m.request(http.MethodPost, "upload", "/", bytes.NewReader(make([]byte, 8<<20)))
		require.NoError(t, err)
		require.Equal(t, "200 web 8388608", fmt.Sprint(code, " ", text))
	})
	t.Run("a stream that goes both ways", func(t *testing.T) { m.bothWays(t, "stream") })
	t.Run("a server that speaks first", func(t *testing.T) {
		begin := time.Now()
		conn := m.dial("db")
		require.Equal(t, "hello", heard(t, conn, 5))
		require.Equal(t, "and back", said(t, conn, "and back"))
		t.Logf("first bytes: %v", time.Since(begin))
	})
	t.Run("many at once", func(t *testing.T) {
		var calls sync.WaitGroup
		codes, conns := make([]int, 50), make([]string, 50)
		for i := range 50 {
			calls.Go(func() { codes[i] = m.get("crowd") })
			conn := m.dial("queue")
			calls.Go(func() {
				_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
				back := make([]byte, 5)
				_, _ = io.ReadFull(conn, back)
				conns[i] = string(back)
			})
		}
		calls.Wait()
		for i := range 50 {
			require.Equal(t, 200, codes[i], "%v", codes)
			require.Equal(t, "hello", conns[i])
		}
	})
	require.Equal(t, 6, m.held())
	t.Run("shares of a split", func(t *testing.T) { m.shares(t) })
	require.Equal(t, 8, m.held())
}

func (m *market) shares(t *testing.T) {
	m.split = &split.TrafficSplit{Spec: split.TrafficSplitSpec{Service: "apex", Backends: []split.TrafficSplitBackend{
		{Service: "one", Weight: 50}, {Service: "two", Weight: 50}}}}
	m.split.Namespace, m.split.Name = "bookstore", "apex"
	m.configure()
	got := map[string]int{}
	for range 40 {
		code, text, err := m.request(http.MethodGet, "apex", "/", nil)
		require.NoError(t, err)
		require.Equal(t, 200, code, text)
		got[text]++
	}
	require.Len(t, got, 2, "%v", got)
}

// bothWays sends a line, waits for it to come back, and sends another, in one request of HTTP/2.
func (m *market) bothWays(t *testing.T, service string) {
	r, w := io.Pipe()
	req, err := http.NewRequestWithContext(within(t, 20*time.Second), http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d/echo", m.ports[service]), r)
	require.NoError(t, err)
	req.Host = service + ".bookstore"
	transport := &http.Transport{Protocols: &http.Protocols{}}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	go func() { _, _ = io.WriteString(w, "one\n") }()
	resp, err := transport.RoundTrip(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	require.Equal(t, 200, resp.StatusCode)
	lines := bufio.NewScanner(resp.Body)
	require.True(t, lines.Scan())
	require.Equal(t, "one", lines.Text())
	_, _ = io.WriteString(w, "two\n")
	require.True(t, lines.Scan())
	require.Equal(t, "two", lines.Text())
	require.NoError(t, w.Close())
}

func TestOnDemandWithoutAController(t *testing.T) {
	m := openMarket(t, snapshot.ClustersOnDemand, func(ca *clientCA) []stall {
		web, bytes := ca.digits(t, "web"), ca.greets(t, "hello")
		return []stall{{"web", meshid.HTTP, web, ""}, {"other", meshid.HTTP, web, ""}, {"db", meshid.TCP, bytes, ""}, {"queue", meshid.TCP, bytes, ""}}
	})
	require.Equal(t, 200, m.get("web"))
	kept := m.dial("db")
	require.Equal(t, "hello", heard(t, kept, 5))
	m.server.Stop()
	require.Equal(t, 200, m.get("web"))
	require.Equal(t, "hello", heard(t, m.dial("db"), 5), "a new connection to what was called before")
	ends := make(chan int, 1)
	go func() { ends <- m.get("other") }()
	first := m.dial("queue")
	time.Sleep(time.Second)
	require.Empty(t, ends, "waits")
	_, before := m.rec.count()
	require.NoError(t, m.server.Restart(xds.Options{Observer: m.rec}))
	m.server.Hub.SetView(m.view)
	begin := time.Now()
	require.Equal(t, 200, <-ends)
	require.Equal(t, "hello", heard(t, first, 5))
	t.Logf("after the controller was back: %v", time.Since(begin))
	require.Equal(t, "same", said(t, kept, "same"))
	require.NoError(t, m.server.Hub.WaitAcked(within(t, 20*time.Second), m.view.Gen))
	_, after := m.rec.count()
	require.Equal(t, 4, after-before, "two clusters and their addresses; nothing that the sidecar had")
	require.Equal(t, 4, m.held())
}

// TestManyClustersBecomeOnDemand: the number of services goes over the limit and back. Connections, requests under way and
// what the sidecar has stay as they are.
func TestManyClustersBecomeOnDemand(t *testing.T) {
	var web, bytes uint32
	m := openMarket(t, snapshot.ClustersAuto, func(ca *clientCA) []stall {
		web, bytes = ca.digits(t, "web"), ca.greets(t, "hello")
		return []stall{{"web", meshid.HTTP, web, ""}, {"db", meshid.TCP, bytes, ""}, {"later", meshid.HTTP, web, ""}}
	}, "new")
	require.Equal(t, 3, m.held())
	kept := m.dial("db")
	require.Equal(t, "hello", heard(t, kept, 5))
	few := m.stalls
	for i := range 200 {
		m.ports[fmt.Sprint("more-", i)] = m.ports["web"]
		m.stalls = append(m.stalls[:len(m.stalls):len(m.stalls)], stall{fmt.Sprint("more-", i), meshid.HTTP, web, "web"})
	}
	m.stalls = append(m.stalls, stall{"new", meshid.HTTP, web, ""})
	_, before := m.rec.count()
	m.configure()
	_, after := m.rec.count()
	require.Equal(t, 3, after-before, "a listener and the routes of two ports")
	require.Equal(t, 3, m.held(), "what it has stays, and nothing comes before it is called")
	require.Equal(t, 200, m.get("new"))
	require.Equal(t, 200, m.get("web"))
	require.Equal(t, 4, m.held())
	m.stalls = few
	m.configure()
	require.Equal(t, 3, m.held())
	time.Sleep(drainTime + time.Second)
	require.Equal(t, "kept", said(t, kept, "kept"))
	require.Equal(t, 200, m.get("later"))
}

// TestAClusterThatDoesNotExist: a call that would wait for it is told at once, and goes through once it exists.
func TestAClusterThatDoesNotExist(t *testing.T) {
	m := openMarket(t, snapshot.ClustersOnDemand, func(ca *clientCA) []stall {
		web := ca.digits(t, "web")
		return []stall{{"web", meshid.HTTP, web, ""}, {"gone", meshid.HTTP, web, ""}}
	})
	m.missing = "/gone"
	m.configure()
	took(t, "an answer about what does not exist", time.Second, func() { require.Equal(t, 503, m.get("gone")) })
	m.missing = ""
	m.configure()
	took(t, "the call to what exists since", time.Second, func() { require.Equal(t, 200, m.get("gone")) })
}
