package e2e

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"openservicemesh.io/osm/internal/core/names"
)

// The ADS port gives nothing to a stranger: not without a token, not with one for somebody else, and by no other method.
func TestADSAnswersOnlyItsProxies(t *testing.T) {
	walkthroughMesh(t)
	probe := adsProbe(t)
	audience := names.TokenAudience("osm", meshNamespace)
	pod := kubectl(t, "get", "pod", "-n", "bookbuyer", "-l", "app=bookbuyer", "-o", "jsonpath={.items[0].metadata.name}")

	good := kubectl(t, "create", "token", "bookbuyer", "-n", "bookbuyer", "--audience", audience, "--bound-object-kind=Pod", "--bound-object-name="+pod)
	if got := probe(good, true); !strings.Contains(got, "delta OK") {
		t.Errorf("a pod's own token: %s", got)
	} else {
		for _, line := range strings.Split(strings.TrimSpace(got), "\n")[1:] {
			t.Log(line)
			if strings.HasPrefix(line, "/") && !strings.HasSuffix(line, " Unimplemented") {
				t.Errorf("%s: want Unimplemented even with a good token", line)
			}
			if strings.HasPrefix(line, "plaintext") && strings.HasSuffix(line, "OK") {
				t.Errorf("plaintext was answered")
			}
		}
	}
	foreign := kubectl(t, "create", "token", "bookbuyer", "-n", "bookbuyer", "--audience", "somebody-else", "--bound-object-kind=Pod", "--bound-object-name="+pod)
	unbound := kubectl(t, "create", "token", "bookbuyer", "-n", "bookbuyer", "--audience", audience)
	api := kubectl(t, "create", "token", "bookbuyer", "-n", "bookbuyer")
	for name, token := range map[string]string{
		"no token": "", "not a token": "garbage", "another audience": foreign, "the API server's audience": api,
		"bound to no pod": unbound, "a changed signature": good[:len(good)-8] + "AAAAAAAA",
	} {
		if got := strings.TrimSpace(probe(token, false)); got != "delta Unauthenticated" {
			t.Errorf("%s: got %q, want Unauthenticated", name, got)
		}
	}
	t.Run("deleted pod", func(t *testing.T) { deletedPod(t, probe, audience) })
	t.Run("expired", func(t *testing.T) { expiredToken(t, probe, good) })
}

// deletedPod shows that a token dies with its pod.
func deletedPod(t *testing.T, probe func(string, bool) string, audience string) {
	kubectl(t, "run", "shortlived", "-n", "outside", "--image=openservicemesh/osm-meshtest:v1.3.0-dev", "--restart=Never", "--", "sleep")
	kubectl(t, "wait", "pod/shortlived", "-n", "outside", "--for=condition=Ready", "--timeout=60s")
	token := kubectl(t, "create", "token", "default", "-n", "outside", "--audience", audience, "--bound-object-kind=Pod", "--bound-object-name=shortlived")
	if got := probe(token, false); strings.Contains(got, "OK") {
		t.Errorf("a pod of a namespace outside the mesh got configuration: %s", got)
	}
	kubectl(t, "delete", "pod", "shortlived", "-n", "outside", "--grace-period=0", "--force")
	eventually(t, 30*time.Second, func() error {
		if got := strings.TrimSpace(probe(token, false)); got != "delta Unauthenticated" {
			return fmt.Errorf("got %q", got)
		}
		return nil
	})
}

// expiredToken signs the pod's own claims again with the cluster's key, but with their time over: nothing else is wrong
// with the token.
func expiredToken(t *testing.T, probe func(string, bool) string, token string) {
	again := func(exp time.Time) string {
		parts := strings.Split(token, ".")
		raw, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err != nil {
			t.Fatal(err)
		}
		claims := map[string]any{}
		if err := json.Unmarshal(raw, &claims); err != nil {
			t.Fatal(err)
		}
		claims["exp"] = exp.Unix()
		claims["iat"], claims["nbf"] = exp.Add(-time.Hour).Unix(), exp.Add(-time.Hour).Unix()
		if raw, err = json.Marshal(claims); err != nil {
			t.Fatal(err)
		}
		signed := parts[0] + "." + base64.RawURLEncoding.EncodeToString(raw)
		return signed + "." + base64.RawURLEncoding.EncodeToString(sign(t, signed))
	}
	if got := strings.TrimSpace(probe(again(time.Now().Add(30*time.Minute)), false)); got != "delta OK" {
		t.Fatalf("a token signed by the test but valid: got %q, so the next check would prove nothing", got)
	}
	if got := strings.TrimSpace(probe(again(time.Now().Add(-5*time.Minute)), false)); got != "delta Unauthenticated" {
		t.Errorf("got %q, want Unauthenticated", got)
	}
}

// sign makes an ES256 signature (RFC 7518, 3.4) with the local cluster's service-account key.
func sign(t *testing.T, text string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(filepath.Dir(mesh.Kubeconfig), "pki", "sa.key"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(raw)
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, 64)
	r.FillBytes(out[:32])
	s.FillBytes(out[32:])
	return out
}

// adsProbe returns a function that runs test/e2e/adsprobe inside the cluster's network.
func adsProbe(t *testing.T) func(token string, methods bool) string {
	t.Helper()
	dir := t.TempDir()
	bin := filepath.Join(dir, "adsprobe")
	if out, err := mesh.Run(t.Context(), "go", "build", "-o", bin, "./test/e2e/adsprobe"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ca := filepath.Join(dir, "ca.crt")
	encoded := kubectl(t, "get", "secret", names.CABundleSecret, "-n", meshNamespace, "-o", `jsonpath={.data.ca\.crt}`)
	roots, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ca, roots, 0o600); err != nil {
		t.Fatal(err)
	}
	ip := kubectl(t, "get", "service", "osm-controller", "-n", meshNamespace, "-o", "jsonpath={.spec.clusterIP}")
	return func(token string, methods bool) string {
		t.Helper()
		out, err := mesh.Inside(t.Context(), bin, "-addr", fmt.Sprintf("%s:%d", ip, names.PortADS), "-ca", ca,
			"-token", token, fmt.Sprintf("-methods=%v", methods)).CombinedOutput()
		if err != nil {
			t.Fatalf("adsprobe: %v\n%s", err, out)
		}
		return string(out)
	}
}
