package e2e

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"openservicemesh.io/osm/internal/core/names"
)

// nginxSees is the status that a client of an nginx pod gets.
func nginxSees(t *testing.T, pod string) (string, error) {
	t.Helper()
	ip := kubectl(t, "get", "pod", pod, "-n", "ingress-outside", "-o", "jsonpath={.status.podIP}")
	out, err := mesh.Inside(t.Context(), "curl", "-s", "-m", "10", "-H", "X-Envoy-Retry-On: 5xx", "-w", " %{http_code}", "http://"+ip+":8000/any").Output()
	return string(out), err
}

func wantOfNginx(t *testing.T, pod, status string) {
	t.Helper()
	eventually(t, 20*time.Second, func() error {
		out, err := nginxSees(t, pod)
		if err != nil || !strings.HasSuffix(out, " "+status) {
			return fmt.Errorf("nginx %s: want %s, got %q (%w)", pod, status, out, err)
		}
		if status == "200" && strings.Contains(strings.ToLower(out), "x-envoy-retry-on") {
			t.Errorf("a header that steers the proxy reached the application: %s", out)
		}
		return nil
	})
}

func wantStatus(t *testing.T, want string) {
	t.Helper()
	eventually(t, 15*time.Second, func() error {
		got := kubectl(t, "get", "ingressbackend", "web", "-n", "ingress-web", "-o", "jsonpath={.status.currentStatus}: {.status.reason}")
		if got != want {
			return fmt.Errorf("status: want %q, got %q", want, got)
		}
		return nil
	})
}

// strangerIsReset calls the service from a pod that is in no source.
func strangerIsReset(t *testing.T) {
	t.Helper()
	out, err := mesh.Run(t.Context(), "kubectl", "exec", "-n", "ingress-outside", "stranger", "--", "osm-meshtest", "get", "http://web.ingress-web/")
	if !strings.Contains(out, "exit code 56") {
		t.Errorf("a client that is no source: want a reset (exit 56), got %v\n%s", err, out)
	}
}

func backend(protocol, tls string, sources ...string) string {
	return fmt.Sprintf(`
apiVersion: policy.openservicemesh.io/v1alpha1
kind: IngressBackend
metadata: {name: web, namespace: ingress-web}
spec:
  backends: [{name: web, port: {number: 8080, protocol: %s}%s}]
  sources: [%s]
`, protocol, tls, strings.Join(sources, ", "))
}

const (
	fromNginx  = "{kind: Service, name: nginx, namespace: ingress-outside}"
	fromNobody = "{kind: Service, name: nobody, namespace: ingress-outside}"
	gatewayJS  = `{"spec":{"certificate":{"ingressGateway":{"subjectAltNames":["nginx.ingress-outside.cluster.local","ingress.example.com"],"validityDuration":"1h",` +
		`"secret":{"name":"osm-nginx-client-cert","namespace":"osm-system"}}}}}`
)

// A real nginx, outside of the mesh, in front of an application inside: 502 until an IngressBackend lets it in.
func TestIngressBackend(t *testing.T) {
	debianPrograms(t)
	closedMesh(t)
	meshNamespaces(t, "ingress-web")
	if _, err := mesh.Run(t.Context(), "kubectl", "get", "namespace", "ingress-outside"); err == nil {
		kubectl(t, "delete", "namespace", "ingress-outside", "--timeout=60s")
	}
	kubectl(t, "create", "namespace", "ingress-outside")
	t.Cleanup(func() {
		_, _ = mesh.Run(context.Background(), "kubectl", "delete", "namespace", "ingress-outside", "--wait=false")
	})
	if out, err := mesh.Run(t.Context(), "osm", "namespace", "add", "ingress-outside", "--disable-sidecar-injection"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	apply(t, "ingress.yaml")
	for _, p := range []string{"ingress-web/web", "ingress-outside/plain", "ingress-outside/stranger"} {
		ns, pod, _ := strings.Cut(p, "/")
		kubectl(t, "wait", "pod/"+pod, "-n", ns, "--for=condition=Ready", "--timeout=60s")
	}
	wantOfNginx(t, "plain", "502")

	t.Run("http", func(t *testing.T) {
		applyText(t, backend("http", "", fromNginx))
		wantOfNginx(t, "plain", "200")
		wantStatus(t, "committed: successfully committed by the system")
		strangerIsReset(t)
	})
	t.Run("a source without endpoints", func(t *testing.T) {
		applyText(t, backend("http", "", fromNginx, fromNobody))
		wantStatus(t, "error: endpoints not found for service ingress-outside/nobody")
		wantOfNginx(t, "plain", "502")
	})
	t.Run("an address range", func(t *testing.T) {
		applyText(t, backend("http", "", "{kind: IPRange, name: 10.244.0.0/16}"))
		wantOfNginx(t, "plain", "200")
		applyText(t, backend("http", "", "{kind: IPRange, name: 192.0.2.0/24}"))
		wantOfNginx(t, "plain", "502")
	})
	t.Run("mutual TLS", func(t *testing.T) { mutualTLS(t) })
	t.Run("deleted", func(t *testing.T) {
		kubectl(t, "delete", "ingressbackend", "web", "-n", "ingress-web")
		wantOfNginx(t, "plain", "502")
		wantOfNginx(t, "tls", "502")
	})
}

// mutualTLS has the mesh issue nginx's certificate and lets nginx in by the certificate's name.
func mutualTLS(t *testing.T) {
	meshConfig(t, gatewayJS)
	secret := func(jsonpath string) (string, error) {
		out, err := mesh.Output(t.Context(), "kubectl", "get", "secret", "osm-nginx-client-cert", "-n", meshNamespace, "-o", "jsonpath="+jsonpath)
		return strings.TrimSpace(out), err
	}
	eventually(t, 20*time.Second, func() error { _, err := secret("{.type}"); return err })
	if kind, _ := secret("{.type}"); kind != "kubernetes.io/tls" {
		t.Errorf("type of the Secret: %s", kind)
	}
	dir := t.TempDir()
	for _, key := range []string{"ca.crt", "tls.crt", "tls.key"} {
		text, err := secret(`{.data.` + strings.ReplaceAll(key, ".", `\.`) + `}`)
		data, derr := base64.StdEncoding.DecodeString(text)
		if err != nil || derr != nil || len(data) == 0 {
			t.Fatalf("%s of the Secret: %v %v", key, err, derr)
		}
		if err := os.WriteFile(dir+"/"+key, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if key == "tls.crt" {
			block, _ := pem.Decode(data)
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil || !slices.Equal(c.DNSNames, []string{"nginx.ingress-outside.cluster.local", "ingress.example.com"}) {
				t.Errorf("names of the certificate: %v %v", c.DNSNames, err)
			}
		}
	}
	kubectl(t, "create", "secret", "generic", "client", "-n", "ingress-outside", "--from-file="+dir)
	kubectl(t, "wait", "pod/tls", "-n", "ingress-outside", "--for=condition=Ready", "--timeout=60s")

	principal := func(name string) string { return "{kind: AuthenticatedPrincipal, name: " + name + "}" }
	skip := func(v bool, hosts string) string {
		return fmt.Sprintf(", tls: {skipClientCertValidation: %v, sniHosts: [%s]}", v, hosts)
	}
	applyText(t, backend("https", skip(false, ""), principal("nginx.ingress-outside.cluster.local")))
	wantOfNginx(t, "tls", "200")
	wantOfNginx(t, "plain", "502")
	strangerIsReset(t)
	applyText(t, backend("https", skip(false, ""), principal("other.ingress-outside.cluster.local")))
	wantOfNginx(t, "tls", "502")
	applyText(t, backend("https", skip(false, "web.ingress-web.cluster.local"), principal("nginx.ingress-outside.cluster.local"), fromNginx))
	wantOfNginx(t, "tls", "200")
	applyText(t, backend("https", skip(false, "elsewhere.example.com"), principal("nginx.ingress-outside.cluster.local")))
	wantOfNginx(t, "tls", "502")
	applyText(t, backend("https", skip(true, ""), fromNginx))
	wantOfNginx(t, "tls", "200")

	kubectl(t, "patch", "meshconfig", names.MeshConfig, "-n", meshNamespace, "--type=json", "-p", `[{"op":"remove","path":"/spec/certificate/ingressGateway"}]`)
	eventually(t, 20*time.Second, func() error {
		if _, err := secret("{.type}"); err == nil {
			return fmt.Errorf("the Secret is still there")
		}
		return nil
	})
}
