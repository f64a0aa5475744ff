package bootstrap_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"openservicemesh.io/osm/internal/core/bootstrap"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/probe"
	"openservicemesh.io/osm/internal/testkit/envoycheck"
	"openservicemesh.io/osm/internal/testkit/freeport"
)

func TestEnvoyAcceptsTheBootstrap(t *testing.T) {
	bin := envoycheck.Binary(t)
	rootPEM, _ := mesh(t)
	all := config(rootPEM, allProbes...)
	dual := all
	dual.DualStack = true
	curves := config(rootPEM)
	curves.TLS.CipherSuites, curves.TLS.ECDHCurves = []string{"ECDHE-ECDSA-AES128-GCM-SHA256"}, []string{"P-256"}
	limited := all
	limited.MemoryLimit = 128 << 20
	for name, c := range map[string]bootstrap.Config{"plain": config(rootPEM), "every probe": all, "dual stack": dual, "ciphers": curves, "memory limit": limited} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(dir+"/token", []byte("t"), 0o600))
			file := dir + "/bootstrap.yaml"
			require.NoError(t, os.WriteFile(file, []byte(strings.ReplaceAll(render(t, c), names.BootstrapDir+"/token:"+names.BootstrapDir, dir+"/token:"+dir)), 0o600))
			out, err := exec.Command(bin, "--mode", "validate", "-c", file, "--log-level", "warning").CombinedOutput()
			require.NoError(t, err, string(out))
			require.NotContains(t, string(out), "deprecated")
		})
	}
}

// TestEnvoyWaitsForItsConfiguration runs a real Envoy against a delta ADS server: nothing is served before the first
// answers, the token is on the stream, and a renewed token is on the next one.
func TestEnvoyWaitsForItsConfiguration(t *testing.T) {
	bin := envoycheck.Binary(t)
	rootPEM, serverTLS := mesh(t)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		case "/slow":
			time.Sleep(1500 * time.Millisecond)
		}
		fmt.Fprint(w, r.URL.RequestURI())
	}))
	defer app.Close()
	appPort := portOf(t, app.URL)
	ads := startADS(t, serverTLS)
	ready, probes, admin := freeport.Get(t), freeport.Get(t), freeport.Get(t)

	target := func(container, path string, timeout time.Duration) probe.Target {
		return probe.Target{Kind: probe.Liveness, Container: container, Mode: probe.HTTP, ListenPort: probes,
			ListenPath: "/osm-liveness-probe/" + container, Port: appPort, Path: path, Timeout: timeout}
	}
	c := config(rootPEM, target("web", "/live?full=1", time.Second), target("web2", "/other", time.Second),
		target("moved", "/moved", time.Second), target("slow", "/slow", time.Second), target("patient", "/slow", 3*time.Second))
	c.ControllerHost, c.ControllerPort = "127.0.0.1", ads.port

	dir := kubeletVolume(t, "token-one")
	runEnvoy(t, bin, withPorts(render(t, c), dir, ready, admin), c)

	readyURL := fmt.Sprintf("http://127.0.0.1:%d%s", ready, names.PathSidecarReady)
	require.Equal(t, "Bearer token-one", ads.nextStream(t))
	require.Never(t, func() bool { return status(readyURL) != 0 }, time.Second, 50*time.Millisecond, "served before any configuration")

	close(ads.release)
	require.Eventually(t, func() bool { return status(readyURL) == 200 }, 5*time.Second, 10*time.Millisecond)
	for _, path := range []string{"/ready/x", "/readyx", "/", "/ready/../admin", "/x/../server_info"} {
		require.Equal(t, 404, status(fmt.Sprintf("http://127.0.0.1:%d%s", ready, path)), path)
	}
	require.Equal(t, 400, status(fmt.Sprintf("http://127.0.0.1:%d/%%2f/ready", ready)))

	base := fmt.Sprintf("http://127.0.0.1:%d/osm-liveness-probe/", probes)
	require.Equal(t, "/live?full=1", body(t, base+"web"))
	require.Equal(t, "/other", body(t, base+"web2"))
	require.Equal(t, 302, status(base+"moved"))
	require.Equal(t, 504, status(base+"slow"))
	require.Equal(t, 200, status(base+"patient"))
	require.Equal(t, 404, status(base+"web/x"))

	rotate(t, dir, "token-two")
	time.Sleep(200 * time.Millisecond)
	ads.dropStreams()
	require.Equal(t, "Bearer token-two", ads.nextStream(t))
}

// adsServer answers every delta subscription with an empty set once released.
type adsServer struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	port    uint16
	tokens  chan string
	release chan struct{}
	drop    chan struct{}
}

func startADS(t *testing.T, cfg *tls.Config) *adsServer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	a := &adsServer{
		port: uint16(ln.Addr().(*net.TCPAddr).Port), tokens: make(chan string, 16),
		release: make(chan struct{}), drop: make(chan struct{}),
	}
	s := grpc.NewServer(grpc.Creds(credentials.NewTLS(cfg)))
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(s, a)
	go func() { _ = s.Serve(ln) }()
	t.Cleanup(s.Stop)
	return a
}

func (a *adsServer) DeltaAggregatedResources(s discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	md, _ := metadata.FromIncomingContext(s.Context())
	a.tokens <- strings.Join(md.Get("authorization"), ",")
	requests := make(chan *discoveryv3.DeltaDiscoveryRequest)
	go func() {
		for {
			r, err := s.Recv()
			if err != nil {
				return
			}
			select {
			case requests <- r:
			case <-s.Context().Done():
				return
			}
		}
	}()
	answered := map[string]bool{}
	for {
		select {
		case <-a.drop:
			return fmt.Errorf("dropped by the test")
		case <-s.Context().Done():
			return nil
		case r := <-requests:
			if answered[r.GetTypeUrl()] {
				continue
			}
			select {
			case <-a.release:
			case <-s.Context().Done():
				return nil
			}
			answered[r.GetTypeUrl()] = true
			if err := s.Send(&discoveryv3.DeltaDiscoveryResponse{TypeUrl: r.GetTypeUrl(), Nonce: "1", SystemVersionInfo: "1"}); err != nil {
				return err
			}
		}
	}
}

func (a *adsServer) nextStream(t *testing.T) string {
	t.Helper()
	select {
	case tok := <-a.tokens:
		return tok
	case <-time.After(15 * time.Second):
		t.Fatal("envoy opened no stream")
		return ""
	}
}

func (a *adsServer) dropStreams() { close(a.drop) }

func runEnvoy(t *testing.T, bin, yaml string, c bootstrap.Config) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "bootstrap.yaml")
	require.NoError(t, os.WriteFile(file, []byte(yaml), 0o600))
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, bin, "--log-level", "warning", "--config-path", file, "--service-cluster", c.NodeCluster,
		"--concurrency", "1", "--use-dynamic-base-id", "--drain-time-s", "15", "--drain-strategy", "immediate")
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(out.String())
		}
	})
}

// kubeletVolume lays a token out as the kubelet does: token -> ..data/token, ..data -> a dated directory.
func kubeletVolume(t *testing.T, token string) string {
	t.Helper()
	dir := t.TempDir()
	rotate(t, dir, token)
	require.NoError(t, os.Symlink("..data/token", dir+"/token"))
	return dir
}

func rotate(t *testing.T, dir, token string) {
	t.Helper()
	dated := "..dated-" + token
	require.NoError(t, os.Mkdir(dir+"/"+dated, 0o700))
	require.NoError(t, os.WriteFile(dir+"/"+dated+"/token", []byte(token), 0o600))
	require.NoError(t, os.Symlink(dated, dir+"/..data_tmp"))
	require.NoError(t, os.Rename(dir+"/..data_tmp", dir+"/..data"))
}

// mesh makes a root and the serving certificate of ads.cluster.local.
func mesh(t *testing.T) (rootPEM string, server *tls.Config) {
	t.Helper()
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, rootKey.Public(), rootKey)
	require.NoError(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "ads.cluster.local"}, DNSNames: []string{"ads.cluster.local"},
		NotBefore: root.NotBefore, NotAfter: root.NotAfter, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, leaf, root, key.Public(), rootKey)
	require.NoError(t, err)
	rootPEM = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER}))
	return rootPEM, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, NextProtos: []string{"h2"}}
}

var client = http.Client{Timeout: 5 * time.Second, CheckRedirect: func(r *http.Request, _ []*http.Request) error { return nil }}

// status is 0 when nothing answers. The path is sent as it is written.
func status(raw string) int {
	u, err := url.Parse(raw)
	if err != nil {
		return 0
	}
	resp, err := client.Do(&http.Request{Method: http.MethodGet, URL: &url.URL{Scheme: u.Scheme, Host: u.Host, Opaque: u.EscapedPath()}})
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func body(t *testing.T, u string) string {
	t.Helper()
	resp, err := client.Get(u)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, 200, resp.StatusCode, string(b))
	return string(b)
}

func portOf(t *testing.T, raw string) uint16 {
	t.Helper()
	u, err := url.Parse(raw)
	require.NoError(t, err)
	p, err := strconv.ParseUint(u.Port(), 10, 16)
	require.NoError(t, err)
	return uint16(p)
}
