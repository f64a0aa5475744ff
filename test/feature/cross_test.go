package feature

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/certs/signer"
	"openservicemesh.io/osm/internal/certs/tresor"
	"openservicemesh.io/osm/internal/core/pki"
	"openservicemesh.io/osm/internal/testkit/envoycheck"
	"openservicemesh.io/osm/internal/testkit/freeport"
)

const adsName = "ads.cluster.local"

// through is an Envoy that forwards to a TLS server which it knows by one name and by a bundle.
const through = `{
 "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": %d}}},
 "static_resources": {
  "listeners": [{"address": {"socket_address": {"address": "127.0.0.1", "port_value": %d}}, "filter_chains": [{"filters": [{"name": "tcp",
   "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "t", "cluster": "s"}}]}]}],
  "clusters": [{"name": "s", "type": "STATIC", "connect_timeout": "2s",
   "transport_socket": {"name": "tls", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
    "sni": "ads.cluster.local", "common_tls_context": {"validation_context": {"trusted_ca": {"filename": %q},
     "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": "ads.cluster.local"}}]}}}},
   "load_assignment": {"cluster_name": "s", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"socket_address":
    {"address": "127.0.0.1", "port_value": %d}}}}]}]}}]}
}`

// reaches reports whether an Envoy that trusts a bundle gets an answer from a server with a certificate.
func reaches(t *testing.T, cert tls.Certificate, bundle []byte) bool {
	t.Helper()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	srv.StartTLS()
	defer srv.Close()
	dir := t.TempDir()
	ca, config := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "envoy.json")
	require.NoError(t, os.WriteFile(ca, bundle, 0o600))
	admin, port := freeport.Get(t), freeport.Get(t)
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, through, admin, port, ca, srv.Listener.Addr().(*net.TCPAddr).Port), 0o600))
	log := &bytes.Buffer{}
	cmd := exec.Command(envoycheck.Binary(t), "-c", config, "--concurrency", "1", "--use-dynamic-base-id", "--log-level", "warn")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, cmd.Start())
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	client := &http.Client{Timeout: 2 * time.Second}
	defer client.CloseIdleConnections()
	require.Eventually(t, func() bool {
		resp, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/ready", admin))
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}, 30*time.Second, 20*time.Millisecond, log)
	resp, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/", port))
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// TestARealEnvoyAcceptsTheNewRootByCrossCertificates: a sidecar that runs knows the control plane by the roots there were when it
// was injected. After one change of root, and after another, it still accepts the control plane's certificate.
func TestARealEnvoyAcceptsTheNewRootByCrossCertificates(t *testing.T) {
	now := time.Now()
	var roots []*signer.Root
	for range 3 {
		r, _, err := tresor.Provider{}.Create(t.Context(), now)
		require.NoError(t, err)
		roots = append(roots, r)
	}
	cross := func(by, next *signer.Root) *x509.Certificate {
		c, err := by.Signer.(signer.Crosser).Cross(next.Cert)
		require.NoError(t, err)
		return c
	}
	issue := func(by *signer.Root, chain ...*x509.Certificate) tls.Certificate {
		tmpl, err := pki.Server([]string{adsName}, pki.NewWindow(now, time.Hour, by.Cert.NotAfter))
		require.NoError(t, err)
		l, err := by.Signer.Sign(t.Context(), tmpl)
		require.NoError(t, err)
		out := tls.Certificate{Certificate: [][]byte{l.DER}, PrivateKey: l.Key}
		for _, c := range chain {
			out.Certificate = append(out.Certificate, c.Raw)
		}
		return out
	}
	first, second, third := roots[0], roots[1], roots[2]
	bundle := func(list ...*signer.Root) []byte {
		var out []byte
		for _, r := range list {
			out = append(out, signer.CertificatePEM(r.Cert)...)
		}
		return out
	}
	require.False(t, reaches(t, issue(second), bundle(first)), "without a cross certificate")
	once := issue(second, cross(first, second))
	require.True(t, reaches(t, once, bundle(first)))
	require.True(t, reaches(t, once, bundle(second)))
	require.True(t, reaches(t, once, bundle(first, second)))
	twice := issue(third, cross(second, third), cross(first, second))
	require.True(t, reaches(t, twice, bundle(first)))
	require.True(t, reaches(t, twice, bundle(third)))
	// A roll-back to the first: it has been certified by nobody before.
	back := issue(first, cross(second, first))
	require.True(t, reaches(t, back, bundle(first)))
	require.True(t, reaches(t, back, bundle(second)))
	// Envoy tries one certificate of each key and no other, so a chain must not hold two of one.
	require.False(t, reaches(t, issue(second, cross(first, second), cross(third, second)), bundle(third)))
	require.False(t, reaches(t, issue(third, cross(first, second)), bundle(first)), "a chain that does not join")
}
