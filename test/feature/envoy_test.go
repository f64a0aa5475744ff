package feature

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/testkit/envoycheck"
	"openservicemesh.io/osm/internal/testkit/figure"
	"openservicemesh.io/osm/internal/testkit/freeport"
	"openservicemesh.io/osm/internal/testkit/xdsserver"
	"openservicemesh.io/osm/internal/testkit/xdstest"
	"openservicemesh.io/osm/internal/xds"
)

// sidecar is a real Envoy that is told everything by the server under test.
type sidecar struct {
	admin, port uint32
	log         *bytes.Buffer
	client      *http.Client
}

// recorder notes what the server sends.
type recorder struct {
	mu        sync.Mutex
	resources int
	streams   int
}

func (r *recorder) Connected(xds.Peer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.streams++
}
func (*recorder) Disconnected(xds.Peer)                         {}
func (*recorder) Request(xds.Peer, envoy.TypeURL, *xds.Outcome) {}
func (*recorder) Refused(string)                                {}
func (r *recorder) Sent(_ xds.Peer, _ envoy.TypeURL, resources, _ int, _ error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.resources += resources
}

func (r *recorder) count() (streams, resources int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.streams, r.resources
}

// drainTime is how long connections to a filter chain that is gone live on.
const drainTime = 2 * time.Second

const bootstrap = `{
 "node": {"id": "pretends-to-be-another", "cluster": "x"},
 "cluster_manager": {"enable_deferred_cluster_creation": true},
 "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": %d}}},
 "dynamic_resources": {
  "ads_config": {"api_type": "DELTA_GRPC", "transport_api_version": "V3", "set_node_on_first_message_only": true,
   "grpc_services": [{"envoy_grpc": {"cluster_name": "osm-controller"}, "initial_metadata": [{"key": "authorization", "value": "Bearer t0"}]}]},
  "cds_config": {"ads": {}, "resource_api_version": "V3"},
  "lds_config": {"ads": {}, "resource_api_version": "V3"}
 },
 "static_resources": {"clusters": [{
  "name": "osm-controller", "type": "STATIC", "connect_timeout": "2s",
  "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
   "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions", "explicit_http_config": {"http2_protocol_options": {}}}},
  "transport_socket": {"name": "tls", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
   "sni": %q, "common_tls_context": {"alpn_protocols": ["h2"], "validation_context": {"trusted_ca": {"filename": %q}}}}},
  "load_assignment": {"cluster_name": "osm-controller", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"socket_address":
   {"address": "127.0.0.1", "port_value": %s}}}}]}]}
 }]}
}`

func startEnvoy(t *testing.T, s *xdsserver.Server) *sidecar {
	t.Helper()
	dir := t.TempDir()
	e := &sidecar{admin: uint32(freeport.Get(t)), port: uint32(freeport.Get(t)), log: &bytes.Buffer{}, client: &http.Client{Timeout: 2 * time.Second}}
	ca := filepath.Join(dir, "ca.pem")
	require.NoError(t, os.WriteFile(ca, s.RootPEM, 0o600))
	_, port, err := net.SplitHostPort(s.Address)
	require.NoError(t, err)
	config := filepath.Join(dir, "envoy.json")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, bootstrap, e.admin, xdsserver.Name, ca, port), 0o600))
	cmd := exec.Command(envoycheck.Binary(t), "-c", config, "--concurrency", "1", "--use-dynamic-base-id", "--log-level", "warn",
		"--drain-time-s", strconv.Itoa(int(drainTime.Seconds())), "--drain-strategy", "immediate")
	cmd.Stdout, cmd.Stderr = e.log, e.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		e.client.CloseIdleConnections()
		if t.Failed() {
			t.Log(e.log.String())
		}
	})
	return e
}

// get calls a path through the sidecar; an error counts as status 0.
func (e *sidecar) get(path string) (int, string) {
	resp, err := e.client.Get(fmt.Sprintf("http://127.0.0.1:%d%s", e.port, path))
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

// stat reads one counter or gauge from the admin interface.
func (e *sidecar) stat(t *testing.T, name string) int {
	t.Helper()
	resp, err := e.client.Get(fmt.Sprintf("http://127.0.0.1:%d/stats?format=json&filter=%s", e.admin, url.QueryEscape("^"+name+"$")))
	if err != nil {
		return -1
	}
	defer func() { _ = resp.Body.Close() }()
	var out struct {
		Stats []struct{ Value int }
	}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&out))
	if len(out.Stats) == 0 {
		return -1
	}
	return out.Stats[0].Value
}

// backend is an application that answers with its name.
func backend(t *testing.T, name string) uint32 {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) }))
	t.Cleanup(srv.Close)
	_, port, _ := strings.Cut(strings.TrimPrefix(srv.URL, "http://"), ":")
	n, err := strconv.Atoi(port)
	require.NoError(t, err)
	return uint32(n)
}

func took(t *testing.T, what string, limit time.Duration, f func()) {
	t.Helper()
	begin := time.Now()
	f()
	words, err := figure.Bar{What: what, Limit: limit}.Judge(time.Since(begin))
	require.NoError(t, err)
	t.Log(words)
}

func TestRealEnvoy(t *testing.T) {
	rec := &recorder{}
	s := start(t, xds.Options{Observer: rec, Reissue: 50 * time.Millisecond})
	s.Tokens.Allow("t0", xds.Peer{Pod: pod(0), Identity: buyer})
	e := startEnvoy(t, s)
	one, two := backend(t, "one"), backend(t, "two")
	listen := xdstest.Listener("l", e.port, 1, []string{"r"}, nil)
	v := xdstest.NewView().Add(pod(0), buyer, xdstest.Cluster("a", 1), xdstest.Cluster("s", 1, ownCert), xdstest.Route("r", 1, "a", "s"), listen)
	v.EDS["a"] = xdstest.Endpoints("a", 1, one)
	ctx := within(t, 60*time.Second)
	acked := func() { require.NoError(t, s.Hub.WaitAcked(ctx, v.Gen)) }
	require.Eventually(t, func() bool { return s.Hub.Len() == 1 }, 10*time.Second, time.Millisecond) // parked: no view yet

	took(t, "first configuration", time.Second, func() { s.Hub.SetView(v); acked() })
	require.Eventually(t, func() bool { code, body := e.get("/a"); return code == 200 && body == "one" }, time.Second, time.Millisecond)

	took(t, "endpoint change until traffic moves", time.Second, func() {
		v = v.Next()
		v.EDS["a"] = xdstest.Endpoints("a", 1, two)
		s.Hub.SetView(v)
		acked()
		require.Eventually(t, func() bool { _, body := e.get("/a"); return body == "two" }, time.Second, time.Millisecond)
	})

	took(t, "a changed cluster is warm again", time.Second, func() {
		v = v.Next().Add(pod(0), buyer, xdstest.Cluster("a", 2), xdstest.Cluster("s", 2, ownCert), xdstest.Route("r", 1, "a", "s"), listen)
		s.Hub.SetView(v)
		acked()
		require.Eventually(t, func() bool { return e.stat(t, "cluster_manager.warming_clusters") == 0 }, time.Second, time.Millisecond)
	})

	t.Run("a route moves between clusters that come and go, without an error", func(t *testing.T) { moveUnderLoad(t, s, e, &v, one, two) })
	t.Run("what Envoy refuses stays out alone", func(t *testing.T) { refuse(t, ctx, s, e, &v, one) })
	t.Run("a certificate is rotated live", func(t *testing.T) { rotate(t, ctx, s, e, &v) })
	t.Run("a new controller resends nothing", func(t *testing.T) { restart(t, ctx, s, e, v, rec) })
}

// moveUnderLoad replaces the only cluster and the route to it, again and again, while requests run.
func moveUnderLoad(t *testing.T, s *xdsserver.Server, e *sidecar, v **xdstest.View, one, two uint32) {
	ctx, cancel := context.WithCancel(within(t, 30*time.Second))
	var load sync.WaitGroup
	bad, good := map[string]int{}, 0
	call := func() {
		for ctx.Err() == nil {
			if code, body := e.get("/"); code == 200 {
				good++
			} else {
				bad[fmt.Sprint(code, " ", body)]++
			}
		}
	}
	listen := xdstest.Listener("l", e.port, 1, []string{"r"}, nil)
	for i := range 20 {
		name := fmt.Sprint("moving", i)
		next := (*v).Next().Add(pod(0), buyer, xdstest.Cluster(name, 1), prefixRoute(name), listen)
		next.EDS = map[string]*envoy.Resource{name: xdstest.Endpoints(name, 1, []uint32{one, two}[i%2])}
		*v = next
		s.Hub.SetView(next)
		require.NoError(t, s.Hub.WaitAcked(ctx, next.Gen))
		if i == 0 { // until now there was no route for the load's path
			require.Eventually(t, func() bool { code, _ := e.get("/"); return code == 200 }, time.Second, time.Millisecond)
			load.Go(call)
		}
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	load.Wait()
	require.Empty(t, bad)
	require.Greater(t, good, 100)
	require.Eventually(t, func() bool { return e.stat(t, "cluster_manager.active_clusters") == 2 }, time.Second, time.Millisecond,
		"the controller's and the last one")
	t.Logf("%d requests, none failed", good)
}

func prefixRoute(cluster string) *envoy.Resource { return regexRoute(".*", cluster) }

func regexRoute(regex, cluster string) *envoy.Resource {
	return xdstest.Encode(envoy.Route, "r", &routev3.RouteConfiguration{Name: "r", VirtualHosts: []*routev3.VirtualHost{{
		Name: "all", Domains: []string{"*"},
		Routes: []*routev3.Route{{
			Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: regex}}},
			Action: &routev3.Route_Route{Route: &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: cluster}}},
		}},
	}}})
}

func refuse(t *testing.T, ctx context.Context, s *xdsserver.Server, e *sidecar, v **xdstest.View, one uint32) {
	listen := xdstest.Listener("l", e.port, 1, []string{"r"}, nil)
	bad := xdstest.BadCluster("bad")
	next := (*v).Next().Add(pod(0), buyer, xdstest.Cluster("g0", 1), bad, xdstest.Cluster("g1", 1), xdstest.Cluster("g2", 1), prefixRoute("g0"), listen)
	next.EDS = map[string]*envoy.Resource{"g0": xdstest.Endpoints("g0", 1, one)}
	*v = next
	took(t, "a refused cluster among four", time.Second, func() {
		s.Hub.SetView(next)
		require.NoError(t, s.Hub.WaitAcked(ctx, next.Gen))
	})
	require.Equal(t, 4, e.stat(t, "cluster_manager.active_clusters"), "three good ones and the controller's")
	got := s.Hub.Rejections()
	require.Len(t, got, 1)
	require.Equal(t, "bad", got[0].Name)
	t.Logf("Envoy says: %s", got[0].Message)
	require.Eventually(t, func() bool { code, _ := e.get("/"); return code == 200 }, time.Second, time.Millisecond)

	next = next.Next().Add(pod(0), buyer, xdstest.Cluster("g0", 1), regexRoute("(", "g0"), listen)
	*v = next
	s.Hub.SetView(next)
	require.NoError(t, s.Hub.WaitAcked(ctx, next.Gen))
	got = s.Hub.Rejections()
	require.Len(t, got, 1)
	require.Equal(t, envoy.Route, got[0].Type)
	t.Logf("Envoy says: %s", got[0].Message)
	code, _ := e.get("/")
	require.Equal(t, 200, code, "the last good route stays")

	next = next.Next().Add(pod(0), buyer, xdstest.Cluster("g0", 1), prefixRoute("g0"), listen)
	*v = next
	s.Hub.SetView(next)
	require.NoError(t, s.Hub.WaitAcked(ctx, next.Gen))
	require.Empty(t, s.Hub.Rejections())
	code, _ = e.get("/")
	require.Equal(t, 200, code)
}

// rotate gives Envoy a hundred clusters that all use its certificate, and then another certificate.
func rotate(t *testing.T, ctx context.Context, s *xdsserver.Server, e *sidecar, v **xdstest.View) {
	list := []*envoy.Resource{xdstest.Cluster("g0", 1), prefixRoute("g0"), xdstest.Listener("l", e.port, 1, []string{"r"}, nil)}
	for i := range 100 {
		list = append(list, xdstest.Cluster(fmt.Sprint("tls", i), 1, ownCert))
	}
	*v = (*v).Next().Add(pod(0), buyer, list...)
	took(t, "a hundred clusters more", 2*time.Second, func() {
		s.Hub.SetView(*v)
		require.NoError(t, s.Hub.WaitAcked(ctx, (*v).Gen))
	})
	require.Eventually(t, func() bool { return e.stat(t, "cluster_manager.warming_clusters") == 0 }, time.Second, time.Millisecond)
	held := func() string { return s.Hub.Held(ctx, pod(0))[envoy.Secret][ownCert] }
	require.Contains(t, held(), "root0.")
	s.Certs.Rotate()
	require.Eventually(t, func() bool { return strings.HasPrefix(held(), "root1.") }, 10*time.Second, 5*time.Millisecond)
	require.Empty(t, s.Hub.Rejections())
}

func restart(t *testing.T, ctx context.Context, s *xdsserver.Server, e *sidecar, v *xdstest.View, rec *recorder) {
	_, before := rec.count()
	require.NoError(t, s.Restart(xds.Options{Observer: rec}))
	code, _ := e.get("/")
	require.Equal(t, 200, code, "traffic does not need the controller")
	s.Hub.SetView(v)
	require.Eventually(t, func() bool { c := s.Hub.Connections(); return len(c) == 1 && c[0].Acked == v.Gen }, 20*time.Second, time.Millisecond)
	_, after := rec.count()
	require.Equal(t, before, after, "nothing changed, so nothing is sent")
	next := v.Next()
	two := backend(t, "two")
	next.EDS = map[string]*envoy.Resource{"g0": xdstest.Endpoints("g0", 9, two)}
	s.Hub.SetView(next)
	require.NoError(t, s.Hub.WaitAcked(ctx, next.Gen))
	require.Eventually(t, func() bool { _, body := e.get("/"); return body == "two" }, time.Second, time.Millisecond)
	_, after = rec.count()
	require.Equal(t, before+1, after)
}
