package feature

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"openservicemesh.io/osm/internal/certs"
	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/kube/kubeapi/clientset"
	"openservicemesh.io/osm/internal/testkit/freeport"
	"openservicemesh.io/osm/tools/images/imageset"
)

// vaultServer is a real OpenBao, which speaks Vault's protocol, on loopback.
type vaultServer struct {
	t         *testing.T
	port      int
	url, root string
	client    *http.Client
	// ca is PEM, for https.
	ca []byte
}

func startVault(t *testing.T, https bool) *vaultServer {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a Vault server, whose first download is 75 MB; run without -short")
	}
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	cache = filepath.Join(cache, "openservicemesh")
	binary := filepath.Join(cache, "openbao-test")
	require.NoError(t, imageset.OpenBaoBinary(t.Context(), cache, binary))
	dir, port := t.TempDir(), int(freeport.Get(t))
	v := &vaultServer{t: t, port: port, root: "root", url: fmt.Sprintf("http://127.0.0.1:%d", port), client: &http.Client{Timeout: 10 * time.Second}}
	args := []string{"server", "-dev", "-dev-root-token-id=root", "-dev-no-store-token", "-dev-listen-address=127.0.0.1:" + strconv.Itoa(port)}
	if https {
		args = append(args, "-dev-tls", "-dev-tls-cert-dir="+dir)
	}
	cmd := exec.Command(binary, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = append(os.Environ(), "HOME="+dir)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if https {
		v.url = fmt.Sprintf("https://127.0.0.1:%d", port)
		require.Eventually(t, func() bool {
			v.ca, err = os.ReadFile(filepath.Join(dir, "vault-ca.pem"))
			return err == nil && len(v.ca) > 0
		}, 30*time.Second, 50*time.Millisecond,
			"%s", &out)
		pool := x509.NewCertPool()
		require.True(t, pool.AppendCertsFromPEM(v.ca))
		v.client = httpsClient(pool)
	}
	require.Eventually(t, func() bool {
		resp, err := v.client.Get(v.url + "/v1/sys/health")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}, time.Minute, 50*time.Millisecond)
	return v
}

func httpsClient(roots *x509.CertPool) *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
}

// call is an administrator's request; the answer comes back.
func (v *vaultServer) call(method, path string, body map[string]any) map[string]any {
	v.t.Helper()
	text, err := json.Marshal(body)
	require.NoError(v.t, err)
	req, err := http.NewRequest(method, v.url+"/v1/"+path, bytes.NewReader(text))
	require.NoError(v.t, err)
	req.Header.Set("X-Vault-Token", v.root)
	resp, err := v.client.Do(req)
	require.NoError(v.t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(v.t, err)
	require.Less(v.t, resp.StatusCode, 300, "%s %s: %s", method, path, answer)
	var out map[string]any
	if len(answer) > 0 {
		require.NoError(v.t, json.Unmarshal(answer, &out))
	}
	return out
}

// pki sets up what the users of the original set up: an engine, a root, a role that issues any name, and a token that may do nothing
// else.
func (v *vaultServer) pki(maxTTL string) (token string) {
	v.t.Helper()
	v.call("POST", "sys/mounts/pki", map[string]any{"type": "pki", "config": map[string]any{"max_lease_ttl": "87600h"}})
	v.call("POST", "pki/root/generate/internal", map[string]any{"common_name": "osm.root", "ttl": "87600h"})
	v.call("POST", "pki/roles/openservicemesh", map[string]any{"allow_any_name": true, "allow_subdomains": true, "max_ttl": maxTTL})
	v.call("PUT", "sys/policies/acl/osm", map[string]any{"policy": `path "pki/issue/openservicemesh" { capabilities = ["update"] }`})
	made := v.call("POST", "auth/token/create", map[string]any{"policies": []string{"osm"}})
	token, _ = made["auth"].(map[string]any)["client_token"].(string)
	require.NotEmpty(v.t, token)
	return token
}

// vaultMesh is the part of a control plane that needs certificates, configured by its flags.
type vaultMesh struct {
	kube      *fake.Clientset
	authority *certs.Authority
	issuer    *certs.Issuer
	ahead     atomic.Int64
}

func openVaultMesh(t *testing.T, kube *fake.Clientset, flags ...string) (*vaultMesh, error) {
	t.Helper()
	var p certs.Provider
	fs := pflag.NewFlagSet("osm-controller", pflag.ContinueOnError)
	p.Bind(fs)
	require.NoError(t, fs.Parse(append([]string{"--certificate-manager=vault", "--vault-host=127.0.0.1"}, flags...)))
	require.NoError(t, p.Check())
	m := &vaultMesh{kube: kube}
	secrets, log := clientset.Of(kube).Secrets("osm-system"), slog.New(slog.DiscardHandler)
	var err error
	m.authority, err = certs.Open(t.Context(), certs.Config{
		Secrets: secrets, Namespace: "osm-system", MeshName: "osm", Log: log, Overlap: 300 * time.Millisecond,
		Now:      func() time.Time { return time.Now().Add(time.Duration(m.ahead.Load())) },
		Provider: p.Signer(certs.Access{Secrets: secrets, Namespace: "osm-system", MeshName: "osm", ServerName: "ads.cluster.local", Log: log}),
	})
	if err != nil {
		return nil, err
	}
	m.issuer = certs.NewIssuer(m.authority, "cluster.local")
	return m, nil
}

// leaf issues a certificate for an identity and reads it as Envoy does.
func (m *vaultMesh) leaf(t *testing.T) (*x509.Certificate, *envoy.Resource) {
	t.Helper()
	res, _, err := m.issuer.Issue(t.Context(), meshid.Identity{Namespace: "shop", ServiceAccount: "cart"})
	require.NoError(t, err)
	var s tlsv3.Secret
	require.NoError(t, proto.Unmarshal(res.Body().Value, &s))
	block, _ := pem.Decode(s.GetTlsCertificate().GetCertificateChain().GetInlineBytes())
	require.NotNil(t, block)
	c, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	return c, res
}

func vaultSecret(key, value string, more ...string) *corev1.Secret {
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "osm-system", Name: "vault-token"}, Data: map[string][]byte{key: []byte(value)}}
	for i := 0; i+1 < len(more); i += 2 {
		s.Data[more[i]] = []byte(more[i+1])
	}
	return s
}

// Certificates of a real server, with the rights that users' tokens have: the role's path and no other.
func TestVaultIssues(t *testing.T) {
	v := startVault(t, false)
	token := v.pki("87600h")
	kube := fake.NewClientset()
	m, err := openVaultMesh(t, kube, "--vault-port="+strconv.Itoa(v.port), "--vault-token="+token)
	require.NoError(t, err)
	bundle, err := kube.CoreV1().Secrets("osm-system").Get(t.Context(), "osm-ca-bundle", metav1.GetOptions{})
	require.NoError(t, err)
	require.Len(t, bundle.Data, 1, "the root alone, and no key")
	c, res := m.leaf(t)
	require.Equal(t, "osm.root", c.Issuer.CommonName)
	require.Equal(t, []string{"cart.shop.cluster.local"}, c.DNSNames)
	require.Equal(t, "cart.shop.cluster.local", c.Subject.CommonName)
	require.WithinDuration(t, time.Now().Add(24*time.Hour), c.NotAfter, time.Minute)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(bundle.Data["ca.crt"]))
	_, err = c.Verify(x509.VerifyOptions{Roots: roots, DNSName: "cart.shop.cluster.local"})
	require.NoError(t, err)
	_, current := m.issuer.Current(meshid.Identity{}, res.Version)
	require.True(t, current)

	t.Run("long names", func(t *testing.T) {
		long := meshid.Identity{Namespace: "a-namespace-whose-name-is-long-enough", ServiceAccount: "a-service-account-whose-name-is-long-too"}
		_, _, err := m.issuer.Issue(t.Context(), long)
		require.NoError(t, err)
	})
	t.Run("down", func(t *testing.T) {
		s, err := m.authority.ServerCert(t.Context(), "ads.cluster.local")
		require.NoError(t, err)
		v.call("PUT", "sys/seal", nil)
		_, _, err = m.issuer.Issue(t.Context(), meshid.Identity{Namespace: "shop", ServiceAccount: "cart"})
		require.ErrorContains(t, err, "the server is sealed or not set up: unseal it (503: ")
		m.ahead.Store(int64(13 * time.Hour))
		got, err := s.GetCertificate(nil)
		require.NoError(t, err, "a certificate that is good must be served")
		require.Equal(t, []string{"ads.cluster.local"}, got.Leaf.DNSNames)
	})
}

// A role that gives less than MeshConfig asks for.
func TestVaultGivesShorterLives(t *testing.T) {
	v := startVault(t, false)
	m, err := openVaultMesh(t, fake.NewClientset(), "--vault-port="+strconv.Itoa(v.port), "--vault-token="+v.pki("1h"))
	require.NoError(t, err)
	res, renew, err := m.issuer.Issue(t.Context(), meshid.Identity{Namespace: "shop", ServiceAccount: "cart"})
	require.NoError(t, err)
	require.WithinRange(t, renew, time.Now().Add(20*time.Minute), time.Now().Add(31*time.Minute))
	again, ok := m.issuer.Current(meshid.Identity{}, res.Version)
	require.True(t, ok)
	require.WithinRange(t, again, time.Now().Add(20*time.Minute), time.Now().Add(31*time.Minute))
}

func TestVaultRefusals(t *testing.T) {
	v := startVault(t, false)
	token := v.pki("24h")
	v.call("POST", "pki/roles/narrow", map[string]any{"allowed_domains": "example.com"})
	v.call("PUT", "sys/policies/acl/all", map[string]any{"policy": `path "pki/*" { capabilities = ["update"] }`})
	made := v.call("POST", "auth/token/create", map[string]any{"policies": []string{"all"}})
	wide, _ := made["auth"].(map[string]any)["client_token"].(string)
	port := "--vault-port=" + strconv.Itoa(v.port)
	closed := "--vault-port=" + strconv.Itoa(int(freeport.Get(t)))
	for name, tt := range map[string]struct {
		flags []string
		want  string
	}{
		"wrong token":      {[]string{port, "--vault-token=hunter2"}, `the token is refused: give one that is valid and whose policy allows "update" on pki/issue/openservicemesh (403: `},
		"token of another": {[]string{port, "--vault-token=" + token, "--vault-role=other"}, "the token is refused"},
		"no role":          {[]string{port, "--vault-token=" + wide, "--vault-role=other"}, "there is no such role: create pki/roles/other, or correct osm.vault.role (400: "},
		"narrow role":      {[]string{port, "--vault-token=" + wide, "--vault-role=narrow"}, "not allowed by this role"},
		"nobody there":     {[]string{closed, "--vault-token=" + token}, "the server cannot be reached; check osm.vault.host"},
		"no such host":     {[]string{port, "--vault-token=" + token, "--vault-host=vault.invalid"}, `the host "vault.invalid" is not known`},
		"not TLS":          {[]string{port, "--vault-token=" + token, "--vault-protocol=https"}, "set osm.vault.protocol=http"},
		"no Secret":        {[]string{port, "--vault-token-secret-name=absent", "--vault-token-secret-key=token"}, "cannot read the token's Secret osm-system/absent"},
		"no key":           {[]string{port, "--vault-token-secret-name=vault-token", "--vault-token-secret-key=absent"}, `Secret osm-system/vault-token has no token in its key "absent"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := openVaultMesh(t, fake.NewClientset(vaultSecret("token", token)), tt.flags...)
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, err.Error(), "hunter2")
			require.NotContains(t, err.Error(), token)
		})
	}
}

// The token is read anew, and the server's own certificate is verified: there is no way around it.
func TestVaultOverTLS(t *testing.T) {
	v := startVault(t, true)
	token := v.pki("24h")
	flags := []string{"--vault-port=" + strconv.Itoa(v.port), "--vault-protocol=https", "--vault-token-secret-name=vault-token", "--vault-token-secret-key=token"}
	_, err := openVaultMesh(t, fake.NewClientset(vaultSecret("token", token)), flags...)
	require.ErrorContains(t, err, "the server's certificate is signed by nobody known: put its CA into the key ca.crt")
	t.Setenv("VAULT_SKIP_VERIFY", "true")
	_, err = openVaultMesh(t, fake.NewClientset(vaultSecret("token", token)), flags...)
	require.ErrorContains(t, err, "signed by nobody known")

	kube := fake.NewClientset(vaultSecret("token", token, "ca.crt", string(v.ca)))
	m, err := openVaultMesh(t, kube, flags...)
	require.NoError(t, err)
	m.leaf(t)
	_, err = kube.CoreV1().Secrets("osm-system").Update(t.Context(), vaultSecret("token", "revoked", "ca.crt", string(v.ca)), metav1.UpdateOptions{})
	require.NoError(t, err)
	_, _, err = m.issuer.Issue(t.Context(), meshid.Identity{Namespace: "shop", ServiceAccount: "cart"})
	require.ErrorContains(t, err, "the token is refused")
	_, err = kube.CoreV1().Secrets("osm-system").Update(t.Context(), vaultSecret("token", token+"\n", "ca.crt", string(v.ca)), metav1.UpdateOptions{})
	require.NoError(t, err)
	m.leaf(t)
}

// An administrator replaces the root at the server: the new one is trusted before its certificates are handed out, and the old one
// stays trusted.
func TestVaultChangesItsRoot(t *testing.T) {
	v := startVault(t, false)
	kube := fake.NewClientset()
	m, err := openVaultMesh(t, kube, "--vault-port="+strconv.Itoa(v.port), "--vault-token="+v.pki("24h"))
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = m.authority.Run(ctx) }()
	t.Cleanup(func() { stop(); <-ended })
	before, _ := m.leaf(t)

	made := v.call("POST", "pki/root/rotate/internal", map[string]any{"common_name": "osm.root.next", "ttl": "87600h"})
	issuer, _ := made["data"].(map[string]any)["issuer_id"].(string)
	v.call("POST", "pki/config/issuers", map[string]any{"default": issuer})
	start := time.Now()
	after, _ := m.leaf(t)
	require.GreaterOrEqual(t, time.Since(start), 300*time.Millisecond)
	require.Equal(t, "osm.root.next", after.Issuer.CommonName)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(m.authority.TrustBundle()))
	for _, c := range []*x509.Certificate{before, after} {
		_, err := c.Verify(x509.VerifyOptions{Roots: roots})
		require.NoError(t, err, c.Issuer.CommonName)
	}
}
