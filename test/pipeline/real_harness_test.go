package pipeline

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"openservicemesh.io/osm/internal/core/explain"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/snapshot"
	"openservicemesh.io/osm/internal/pipeline"
	"openservicemesh.io/osm/internal/render"
	"openservicemesh.io/osm/internal/testkit/envoycheck"
	"openservicemesh.io/osm/internal/testkit/freeport"
)

// realServerIP is the address of the pod behind every service of realInput.
const realServerIP = "127.0.88.1"

// realIngressIP stands for the address of the same pod when clients outside of the mesh call it.
const realIngressIP = "127.0.88.4"

// realMesh is realInput with real sidecars.
type realMesh struct {
	*world
	ca    *authority
	ports map[string]int
	// admins are the addresses of the sidecars' admin interfaces, by service account.
	admins map[string]string
	// logs are the files that the sidecars' output goes to, by service account.
	logs map[string]string
	// admin are the ports of admin interfaces whose sidecars' metrics listeners are to lead there, by service account.
	admin map[string]int
	// servers are the addresses of pods that make no calls.
	servers []string
}

func newRealMesh(t *testing.T, permissive bool) *realMesh {
	t.Helper()
	return newRealMeshWith(t, permissive, "")
}

// newRealMeshWith adds objects to realInput; those of the MeshConfig's kind replace its own.
func newRealMeshWith(t *testing.T, permissive bool, more string) *realMesh {
	t.Helper()
	return newAnnotatedRealMesh(t, permissive, more, `prometheus.io/scrape: "true"`)
}

// newAnnotatedRealMesh has the pod behind the services carry these annotations.
func newAnnotatedRealMesh(t *testing.T, permissive bool, more, annotations string) *realMesh {
	t.Helper()
	return newRealMeshOf(t, permissive, more, annotations, "")
}

// newRealMeshOf has the pod behind the services and the first that calls them carry annotations.
func newRealMeshOf(t *testing.T, permissive bool, more, annotations, caller string) *realMesh {
	t.Helper()
	m := &realMesh{ca: newAuthority(t), ports: map[string]int{}, admins: map[string]string{}, logs: map[string]string{}, servers: []string{realServerIP}}
	pairs := []string{"PERMISSIVE", strconv.FormatBool(permissive)}
	for _, p := range []string{"PORT_WEB", "PORT_RPC", "PORT_DB", "PORT_ADMIN", "PORT_METRICS", "PORT_LIMITS", "PORT_AUTHZ", "PORT_FIGURES"} {
		m.ports[p] = int(freeport.Get(t))
		pairs = append(pairs, p, strconv.Itoa(m.ports[p]))
	}
	input := realInput
	if strings.Contains(more, "kind: MeshConfig") {
		_, input, _ = strings.Cut(input, "---\n")
	}
	text := strings.NewReplacer(pairs...).Replace(strings.NewReplacer("CALLER_ANNOTATIONS", caller, "ANNOTATIONS", annotations).Replace(input) + more)
	c := &testCase{name: "real", dir: "real"}
	c.snap, c.findings = load(t, "real", []byte(text))
	require.Empty(t, c.findings)
	c.mesh = render.New(c.snap)
	require.Empty(t, c.mesh.Findings())
	view, err := pipeline.New(m.ca.bundle).Apply(c.snap, snapshot.Changed{Config: true})
	require.NoError(t, err)
	m.world = &world{testCase: c, view: view, asked: explain.New(view)}
	return m
}

func (m *realMesh) addr(ip, port string) string { return fmt.Sprintf("%s:%d", ip, m.ports[port]) }

// start runs the sidecar of a service account with a certificate of the principal.
func (m *realMesh) start(t *testing.T, name, principal string) {
	t.Helper()
	p, err := m.mesh.Find(name)
	require.NoError(t, err)
	b, err := envoycheck.Static(m.view.Config(p.Key), m.view.Endpoints, m.ca.issue(t, principal))
	require.NoError(t, err)
	m.onLoopback(t, b, m.podIPs(t, p))
	admin := cmp.Or(m.admin[name], int(freeport.Get(t)))
	b.Admin = &bootstrapv3.Admin{Address: tcpAddress("127.0.0.1", uint32(admin))}
	m.admins[name] = fmt.Sprintf("127.0.0.1:%d", admin)
	m.logs[name] = runEnvoy(t, b)
	waitFor(t, m.admins[name])
	for _, l := range b.StaticResources.Listeners {
		waitForAddress(t, l.Address)
		for _, a := range l.AdditionalAddresses {
			waitForAddress(t, a.Address)
		}
	}
}

func (m *realMesh) podIPs(t *testing.T, p render.Proxy) []string {
	t.Helper()
	var out []string
	for _, pod := range m.snap.Pods {
		if pod.ID.String() == p.Pods[0] {
			for _, ip := range pod.IPs {
				out = append(out, ip.String())
			}
		}
	}
	require.NotEmpty(t, out, "no such pod")
	return out
}

// onLoopback gives each filter chain a listener on the addresses that it matches, which stands for the redirection of a
// pod's connections. Nothing else of the configuration is changed, but for the ports of admin and metrics.
func (m *realMesh) onLoopback(t *testing.T, b *bootstrapv3.Bootstrap, podIPs []string) {
	t.Helper()
	podIP := podIPs[0]
	var out []*listenerv3.Listener
	for _, l := range b.StaticResources.Listeners {
		if l.Name == names.ListenerMetrics {
			l.Address = tcpAddress(podIP, uint32(m.ports["PORT_METRICS"]))
			out = append(out, l)
			continue
		}
		if l.Name == names.ListenerOutbound && slices.Contains(m.servers, podIP) {
			// In permissive mode the server's sidecar takes calls to the services too. Without a network of its own it would
			// take some of the client's.
			continue
		}
		for _, c := range l.FilterChains {
			one := proto.CloneOf(l)
			one.Name = c.Name
			one.FilterChains = []*listenerv3.FilterChain{c}
			ips := podIPs
			if ranges := c.FilterChainMatch.PrefixRanges; len(ranges) > 0 {
				ips = nil
				for _, r := range ranges {
					ips = append(ips, r.AddressPrefix)
				}
			}
			if strings.HasPrefix(c.Name, "ingress_") {
				ips = []string{realIngressIP} // beside the chain of the mesh for the same port
			}
			bind(t, one, ips, c.FilterChainMatch.DestinationPort.GetValue())
			out = append(out, one)
		}
	}
	b.StaticResources.Listeners = out
	for _, c := range b.StaticResources.Clusters {
		if c.Name == names.ClusterMetrics {
			c.LoadAssignment.Endpoints[0].LbEndpoints[0].GetEndpoint().Address = tcpAddress("127.0.0.1", uint32(m.ports["PORT_ADMIN"]))
		}
	}
}

// bind gives a listener addresses on the loopback interface, further ones as the product's listeners have them.
func bind(t *testing.T, l *listenerv3.Listener, ips []string, port uint32) {
	t.Helper()
	l.AdditionalAddresses = nil
	for i, ip := range ips {
		require.True(t, netip.MustParseAddr(ip).IsLoopback(), ip)
		if i == 0 {
			l.Address = tcpAddress(ip, port)
			continue
		}
		l.AdditionalAddresses = append(l.AdditionalAddresses, &listenerv3.AdditionalAddress{Address: tcpAddress(ip, port)})
	}
}

func waitForAddress(t *testing.T, a *corev3.Address) {
	t.Helper()
	s := a.GetSocketAddress()
	waitFor(t, net.JoinHostPort(s.Address, strconv.Itoa(int(s.GetPortValue()))))
}

func tcpAddress(ip string, port uint32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: ip, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port}}}}
}

// runEnvoy starts an Envoy that ends with the test, and returns the file its output goes to.
func runEnvoy(t *testing.T, b *bootstrapv3.Bootstrap) string {
	t.Helper()
	text, err := protojson.Marshal(b)
	require.NoError(t, err)
	dir := t.TempDir()
	file := filepath.Join(dir, "envoy.json")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	log, err := os.Create(filepath.Join(dir, "envoy.log"))
	require.NoError(t, err)
	cmd := exec.Command(envoycheck.Binary(t), "-c", file, "--concurrency", "1", "--disable-hot-restart", "--log-level", "warn", "--file-flush-interval-msec", "50")
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = log.Close()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Log(string(text))
		}
	})
	return log.Name()
}

func waitFor(t *testing.T, addr string) {
	t.Helper()
	require.Eventually(t, func() bool {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			return false
		}
		return c.Close() == nil
	}, 20*time.Second, 20*time.Millisecond, addr)
}
