package pipeline

import (
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"openservicemesh.io/osm/internal/core/explain"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/sim"
	"openservicemesh.io/osm/internal/core/snapshot"
	"openservicemesh.io/osm/internal/pipeline"
)

// call is one line of calls.yaml.
type call struct {
	// From is a proxy of render.Find, or "outside" for a plaintext client without sidecar.
	From string `json:"from"`
	// HTTP is "<method> <url>", TCP "<host>:<port>". A host is resolved as the cluster's DNS would.
	HTTP string `json:"http"`
	TCP  string `json:"tcp"`
	// To is an address to dial instead of what the host resolves to.
	To      string            `json:"to"`
	Host    string            `json:"host"`
	Headers map[string]string `json:"headers"`
	Pick    uint32            `json:"pick"`
	// TLS has the application speak TLS itself, SNI is the server name it says then.
	TLS bool   `json:"tls"`
	SNI string `json:"sni"`
	// Source and Principal are the address and the certificate's name of a client outside.
	Source    string `json:"source"`
	Principal string `json:"principal"`
	// Around is what the server's sidecar finds around it.
	Around sim.Around `json:"around"`
	// Want is the outcome as sim prints it; Cluster, if set, the client's cluster.
	Want    string `json:"want"`
	Cluster string `json:"cluster"`
}

// TestCalls follows every call of every case through the generated resources.
func TestCalls(t *testing.T) {
	total := 0
	for _, name := range caseNames(t) {
		text, err := os.ReadFile(filepath.Join("testdata", name, "calls.yaml"))
		if os.IsNotExist(err) {
			continue
		}
		require.NoError(t, err)
		var calls []call
		require.NoError(t, yaml.UnmarshalStrict(text, &calls), "%s", name)
		total += len(calls)
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, readCase(t, name))
			for _, c := range calls {
				got := w.outcome(t, c)
				require.Equal(t, c.Want, got.String(), "%+v: %s", c, got.By)
				if c.Cluster != "" {
					require.Equal(t, c.Cluster, got.Cluster, "%+v", c)
				}
			}
		})
	}
	require.Greater(t, total, 150)
}

// world is a case with its sidecars.
type world struct {
	*testCase
	view  *pipeline.View
	asked *explain.Mesh
}

func newWorld(t *testing.T, c *testCase) *world {
	t.Helper()
	view, err := pipeline.New([]byte("roots")).Apply(c.snap, snapshot.Changed{Config: true})
	require.NoError(t, err)
	return &world{testCase: c, view: view, asked: explain.New(view)}
}

func (w *world) outcome(t *testing.T, c call) sim.Outcome {
	t.Helper()
	var out sim.Outcome
	var err error
	if c.From == "outside" {
		server := w.at(w.podOf(t, c))
		require.NotNil(t, server)
		who := sim.Stranger{TLS: c.TLS, ServerName: c.SNI, Principal: c.Principal, HTTP: c.request(t), Around: c.Around}
		if c.Source != "" {
			who.From = netip.MustParseAddr(c.Source)
		}
		out, err = sim.FromOutside(server, w.podOf(t, c), who)
	} else {
		p, ferr := w.mesh.Find(c.From)
		require.NoError(t, ferr)
		client := &sim.Proxy{
			Principal: w.mesh.Principal(p), CertSecret: names.SecretServiceCert(p.Identity()),
			Resources: w.view.Config(p.Key), Endpoints: w.view.Endpoints,
		}
		out, err = sim.FromMesh(client, w.at, sim.Call{To: w.address(t, c), HTTP: c.request(t), Pick: c.Pick, TLS: c.TLS, ServerName: c.SNI, Around: c.Around})
	}
	require.NoError(t, err, "%+v", c)
	return out
}

// at finds the sidecar of an address.
func (w *world) at(to netip.AddrPort) *sim.Proxy { return w.asked.At(to) }

// podOf is the first endpoint of the service that is called.
func (w *world) podOf(t *testing.T, c call) netip.AddrPort {
	t.Helper()
	svc, port := w.target(t, c)
	require.NotNil(t, svc, "%+v", c)
	list := w.snap.Endpoints[meshid.ServicePort{Service: svc.ID, Port: port}]
	require.NotEmpty(t, list, "%+v", c)
	return list[0].Addr
}

// address is what the caller dials.
func (w *world) address(t *testing.T, c call) netip.AddrPort {
	t.Helper()
	if c.To != "" {
		return netip.MustParseAddrPort(c.To)
	}
	svc, port := w.target(t, c)
	if svc == nil {
		return netip.MustParseAddrPort(c.TCP)
	}
	if !svc.Headless {
		require.NotEmpty(t, svc.ClusterIPs)
		return netip.AddrPortFrom(svc.ClusterIPs[0], port)
	}
	for _, p := range svc.Ports {
		for _, ep := range w.snap.Endpoints[meshid.ServicePort{Service: svc.ID, Port: p.Port}] {
			return netip.AddrPortFrom(ep.Addr.Addr(), port)
		}
	}
	require.Fail(t, "a headless service without pods resolves to nothing", "%+v", c)
	return netip.AddrPort{}
}

// target is the service and port that a call names; nil for an address.
func (w *world) target(t *testing.T, c call) (*snapshot.Service, uint16) {
	t.Helper()
	if _, err := netip.ParseAddrPort(c.TCP); err == nil {
		return nil, 0
	}
	host, portText, _ := strings.Cut(c.TCP, ":")
	if c.HTTP != "" {
		u := c.url(t)
		host, portText = u.Hostname(), u.Port()
	}
	if portText == "" {
		portText = "80"
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	require.NoError(t, err, "%+v", c)
	name, ns, ok := strings.Cut(host, ".")
	if !ok {
		_, ns, _ = strings.Cut(c.From, ".")
	}
	ns, _, _ = strings.Cut(ns, ".")
	return w.snap.Service(meshid.Service{Namespace: ns, Name: name}), uint16(port)
}

// url splits the URL of HTTP without touching its path.
func (c call) url(t *testing.T) *url.URL {
	t.Helper()
	_, text, ok := strings.Cut(c.HTTP, " ")
	require.True(t, ok, "%+v", c)
	host, path := text, "/"
	if i := strings.Index(strings.TrimPrefix(text, "http://"), "/"); i >= 0 {
		host, path = text[:i+len("http://")], text[i+len("http://"):]
	}
	u, err := url.Parse(host)
	require.NoError(t, err)
	u.Opaque = path
	return u
}

func (c call) request(t *testing.T) *sim.Request {
	t.Helper()
	if c.HTTP == "" {
		return nil
	}
	method, _, _ := strings.Cut(c.HTTP, " ")
	u := c.url(t)
	r := &sim.Request{Method: method, Path: u.Opaque, Host: u.Host, Headers: map[string]string{}}
	if c.Host != "" {
		r.Host = c.Host
	}
	for k, v := range c.Headers {
		r.Headers[strings.ToLower(k)] = v
	}
	return r
}
