package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"openservicemesh.io/osm/internal/core/pki"
	"openservicemesh.io/osm/test/guides"
)

// These come after the walk-through, which leaves no mesh: each installs one whose certificates come from elsewhere.

// The page, and beyond it what happens when cert-manager is away, and when its root is renewed.
func TestCertManager(t *testing.T) {
	noMesh(t)
	peers(t, "cert-manager-controller", "curl", "httpbin")
	gone(t, "httpbin")
	gone(t, "curl")
	const page = "../../docs/guides/demos/cert-manager_integration.md"
	sh := newShell(t)
	var cleanup []guides.Step
	for _, s := range readPage(t, page) {
		if s.Cleanup {
			cleanup = append(cleanup, s)
			continue
		}
		if err := sh.step(s); err != nil {
			t.Errorf("cert-manager_integration.md:%d: %v", s.Line, err)
			break
		}
	}
	if !t.Failed() {
		certificatesAreOf(t, certManagerRoot(t))
		t.Run("away", certManagerAway)
		t.Run("renewed root", certManagerRenewed)
	}
	for _, s := range cleanup {
		if err := sh.step(s); err != nil {
			t.Errorf("cert-manager_integration.md:%d: %v", s.Line, err)
		}
	}
}

func noMesh(t *testing.T) {
	t.Helper()
	if _, err := mesh.Run(t.Context(), "kubectl", "get", "deployment", "osm-controller", "-n", meshNamespace); err == nil {
		if out, err := mesh.Run(t.Context(), "osm", "uninstall", "mesh", "--force", "--delete-cluster-wide-resources"); err != nil {
			t.Fatal(err, out)
		}
	}
	gone(t, meshNamespace)
}

const httpbinURL = "http://httpbin.httpbin:14001/get"

func wantCall(t *testing.T) {
	t.Helper()
	eventually(t, 60*time.Second, func() error {
		out, err := mesh.Output(t.Context(), "kubectl", "exec", "-n", "curl", "deploy/curl", "-c", "curl", "--", "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", httpbinURL)
		if err == nil && out != "200" {
			err = fmt.Errorf("the call got %q", out)
		}
		return err
	})
}

// A pod that starts meanwhile waits and is told about; those that run go on.
func certManagerAway(t *testing.T) {
	kubectl(t, "scale", "deployment/cert-manager", "-n", "cert-manager", "--replicas=0")
	kubectl(t, "wait", "pods", "-n", "cert-manager", "--all", "--for=delete", "--timeout=60s")
	issuanceStops(t)
	kubectl(t, "scale", "deployment/cert-manager", "-n", "cert-manager", "--replicas=1")
	rollout(t, "httpbin", "httpbin")
	issuanceGoesOn(t)
}

// issuanceStops starts a pod that needs a certificate and waits until users are told why it gets none.
func issuanceStops(t *testing.T) {
	t.Helper()
	wantCall(t)
	kubectl(t, "scale", "deployment/httpbin", "-n", "httpbin", "--replicas=2")
	eventually(t, 90*time.Second, func() error {
		out, err := mesh.Output(t.Context(), "kubectl", "get", "events", "-n", meshNamespace, "--field-selector=reason=CertificateIssuanceFailure", "-o", "jsonpath={.items[*].message}")
		if err != nil {
			return err
		}
		if !strings.Contains(out, "no certificate for ") {
			return fmt.Errorf("no event tells it: %q", out)
		}
		t.Log(out)
		return nil
	})
	out, err := mesh.Run(t.Context(), "osm", "check")
	if exitCode(err) != 1 || !strings.Contains(out, "[certificates-issued]") {
		t.Errorf("osm check does not tell it: %v\n%s", err, out)
	}
	wantCall(t)
}

func issuanceGoesOn(t *testing.T) {
	t.Helper()
	eventually(t, 90*time.Second, func() error {
		out, _ := mesh.Run(t.Context(), "osm", "check") // it may fail for other reasons
		if strings.Contains(out, "no certificate has been issued") {
			return fmt.Errorf("osm check:\n%s", out)
		}
		return nil
	})
	wantCall(t)
}

// trustedRoots is how many certificates osm-ca-bundle holds, and its keys.
func trustedRoots(t *testing.T) (n int, keys string) {
	t.Helper()
	text, err := base64.StdEncoding.DecodeString(kubectl(t, "get", "secret", "osm-ca-bundle", "-n", meshNamespace, "-o", `jsonpath={.data.ca\.crt}`))
	if err != nil {
		t.Fatal(err)
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		n++
	}
	return n, kubectl(t, "get", "secret", "osm-ca-bundle", "-n", meshNamespace, "-o", `go-template={{range $k, $v := .data}}{{$k}} {{end}}`)
}

// proberCalls has the prober beside the caller call httpbin for a while, and returns a function that waits for the end and wants
// every call to have succeeded.
func proberCalls(t *testing.T, seconds int) (wait func()) {
	t.Helper()
	if _, err := mesh.Run(t.Context(), "kubectl", "get", "pod", "prober", "-n", "curl"); err != nil {
		kubectl(t, "run", "prober", "-n", "curl", "--image=openservicemesh/osm-meshtest:"+meshVersion, "--", "sleep")
		kubectl(t, "wait", "pod/prober", "-n", "curl", "--for=condition=Ready", "--timeout=60s")
	}
	const rate = 100
	end := startLoadFrom(t, "curl", httpbinURL, seconds, rate)
	return func() {
		t.Helper()
		l := end()
		t.Logf("%d requests, %d failed", l.Requests, l.Failed)
		if want := int64(seconds * rate / 2); l.Failed != 0 || l.Requests < want {
			t.Errorf("want every request to succeed, and %d at least: %+v", want, l)
		}
	}
}

// A new root is trusted beside the old one before its certificates are handed out, and no call fails.
func certManagerRenewed(t *testing.T) {
	wait := proberCalls(t, 60)
	before := certManagerRoot(t)
	kubectl(t, "delete", "secret", "osm-ca", "-n", meshNamespace)
	eventually(t, 60*time.Second, func() error {
		out, err := mesh.Output(t.Context(), "kubectl", "get", "secret", "osm-ca", "-n", meshNamespace, "-o", `go-template={{index .data "tls.crt" | base64decode}}`)
		if err == nil && strings.TrimSpace(out) == before {
			err = errors.New("the root is the one before")
		}
		return err
	})
	newRootIsAdopted(t)
	wait()
	certificatesAreOf(t, certManagerRoot(t))
}

// certManagerRoot is the root of the page's issuer, in PEM.
func certManagerRoot(t *testing.T) string {
	t.Helper()
	return kubectl(t, "get", "secret", "osm-ca", "-n", meshNamespace, "-o", `go-template={{index .data "tls.crt" | base64decode}}`)
}

// certificatesAreOf wants every sidecar to hold a certificate that chains to a root.
func certificatesAreOf(t *testing.T, rootPEM string) {
	t.Helper()
	block, _ := pem.Decode([]byte(rootPEM))
	if block == nil {
		t.Fatalf("no certificate: %q", rootPEM)
	}
	want := pki.RootID(block.Bytes)
	eventually(t, 30*time.Second, func() error {
		if held := rootsHeld(t); len(held) != 1 || held[want] == 0 {
			return fmt.Errorf("sidecars hold certificates of %v, want those of %s", held, want)
		}
		return nil
	})
}

// serial is that of the certificate which a pod's Envoy uses, in hexadecimal.
func serial(t *testing.T, namespace, deployment string) string {
	t.Helper()
	pod := kubectl(t, "get", "pods", "-n", namespace, "-l", "app="+deployment, "-o", "jsonpath={.items[0].metadata.name}")
	out, err := mesh.Output(t.Context(), "osm", "proxy", "get", "certs", pod, "-n", namespace)
	if err != nil {
		t.Fatal(err)
	}
	var page struct {
		Certificates []struct {
			Chain []struct {
				Serial string `json:"serial_number"`
				Names  []struct {
					DNS string `json:"dns"`
				} `json:"subject_alt_names"`
			} `json:"cert_chain"`
		} `json:"certificates"`
	}
	if err := json.Unmarshal([]byte(out), &page); err != nil {
		t.Fatal(err, out)
	}
	for _, c := range page.Certificates {
		for _, leaf := range c.Chain {
			for _, n := range leaf.Names {
				if n.DNS == deployment+"."+namespace+".cluster.local" {
					return strings.ToLower(leaf.Serial)
				}
			}
		}
	}
	t.Fatalf("%s/%s uses no certificate of its own: %s", namespace, pod, out)
	return ""
}

// newRootIsAdopted makes a pod need a certificate, which shows that the root is another one, and waits until one has it.
func newRootIsAdopted(t *testing.T) {
	t.Helper()
	kubectl(t, "scale", "deployment/httpbin", "-n", "httpbin", "--replicas=3")
	eventually(t, 60*time.Second, func() error {
		if n, keys := trustedRoots(t); n != 2 || keys != "ca.crt" {
			return fmt.Errorf("osm-ca-bundle holds %d certificates and the keys %s", n, keys)
		}
		return nil
	})
	eventually(t, 120*time.Second, func() error {
		_, err := mesh.Run(t.Context(), "kubectl", "rollout", "status", "deployment/httpbin", "-n", "httpbin", "--timeout=1s")
		return err
	})
}

// A Vault server issues for a token that may use the role's path and no other. (Its root is replaced in test/feature.)
func TestHashiVault(t *testing.T) {
	noMesh(t)
	peers(t, "openbao", "curl", "httpbin")
	outsideNamespace(t, "vault")
	kubectl(t, "apply", "-n", "vault", "-f", samples+"openbao/openbao.yaml")
	rollout(t, "vault", "vault")
	bao := func(args ...string) string {
		return kubectl(t, append([]string{"exec", "-n", "vault", "deploy/vault", "--", "/bin/bao"}, args...)...)
	}
	bao("secrets", "enable", "-max-lease-ttl=87600h", "pki")
	bao("write", "pki/root/generate/internal", "common_name=osm.root", "ttl=87600h")
	bao("write", "pki/roles/openservicemesh", "allow_any_name=true", "allow_subdomains=true", "max_ttl=87600h")
	bao("write", "sys/policies/acl/osm", `policy=path "pki/issue/openservicemesh" { capabilities = ["update"] }`)
	token := bao("token", "create", "-policy=osm", "-field=token")
	kubectl(t, "create", "namespace", meshNamespace)
	kubectl(t, "create", "secret", "generic", "vault-token", "-n", meshNamespace, "--from-literal=token="+token)
	if out, err := mesh.Run(t.Context(), "osm", "install",
		"--set=osm.certificateProvider.kind=vault,osm.vault.host=vault.vault.svc.cluster.local,osm.vault.secret.name=vault-token,osm.vault.secret.key=token"); err != nil {
		t.Fatal(err, out)
	}
	t.Cleanup(func() {
		if out, err := mesh.Run(context.Background(), "osm", "uninstall", "mesh", "--force", "--delete-cluster-wide-resources", "--delete-namespace"); err != nil {
			t.Error(err, out)
		}
	})
	if n, keys := trustedRoots(t); n != 1 || keys != "ca.crt" {
		t.Errorf("osm-ca-bundle holds %d certificates and the keys %s", n, keys)
	}
	root := bao("read", "-field=certificate", "pki/cert/ca")
	if held := kubectl(t, "get", "secret", "osm-ca-bundle", "-n", meshNamespace, "-o", `go-template={{index .data "ca.crt" | base64decode}}`); strings.TrimSpace(held) != strings.TrimSpace(root) {
		t.Errorf("the mesh trusts another root than Vault's:\n%s\n%s", held, root)
	}
	meshNamespaces(t, "httpbin", "curl")
	kubectl(t, "apply", "-n", "httpbin", "-f", samples+"httpbin/httpbin.yaml")
	kubectl(t, "apply", "-n", "curl", "-f", samples+"curl/curl.yaml")
	rollout(t, "httpbin", "httpbin")
	rollout(t, "curl", "curl")
	wantCall(t)
	certificatesAreOf(t, root)
	issued := func() map[string]string {
		known := strings.ReplaceAll(bao("list", "pki/certs"), ":", "")
		serials := map[string]string{}
		for _, app := range []string{"curl", "httpbin"} {
			serials[app] = serial(t, app, app)
			if !strings.Contains(known, serials[app]) {
				t.Errorf("Vault knows nothing of %s's certificate %s", app, serials[app])
			}
		}
		return serials
	}
	first := issued()
	t.Run("renewed", func(t *testing.T) {
		wait := proberCalls(t, 10)
		meshConfig(t, `{"spec":{"certificate":{"serviceCertValidityDuration":"1h"}}}`)
		eventually(t, 30*time.Second, func() error {
			if s := serial(t, "httpbin", "httpbin"); s == first["httpbin"] {
				return fmt.Errorf("httpbin still uses certificate %s", s)
			}
			return nil
		})
		wait()
		issued()
	})
	t.Run("sealed", func(t *testing.T) { // answers nothing, and keeps what it has in memory
		_, key, found := strings.Cut(kubectl(t, "logs", "-n", "vault", "deploy/vault"), "Unseal Key: ")
		if !found {
			t.Fatal("the server does not say its key")
		}
		bao("operator", "seal")
		issuanceStops(t)
		bao("operator", "unseal", strings.Fields(key)[0])
		rollout(t, "httpbin", "httpbin")
		issuanceGoesOn(t)
	})
}
