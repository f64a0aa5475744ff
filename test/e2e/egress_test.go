package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The addresses of a world outside that only this cluster has.
const (
	worldIP    = "203.0.113.10"
	worldHosts = worldIP + " www.example.com api.example.com a.example.org"
)

// debianPrograms makes sure that the real peers are installed.
func debianPrograms(t *testing.T) {
	t.Helper()
	installed(t, map[string]string{"/usr/sbin/nginx": "nginx-light", "/usr/bin/curl": "curl"})
}

// installed installs the Debian packages of programs that are not there.
func installed(t *testing.T, packages map[string]string) {
	t.Helper()
	for program, pkg := range packages {
		if found, err := filepath.Glob(program); err == nil && len(found) > 0 {
			continue
		}
		if out, err := aptGet(t, "install", "-y", "--no-install-recommends", pkg); err != nil {
			// The lists of packages may be old, or not there yet.
			if more, err := aptGet(t, "update"); err != nil {
				t.Fatalf("%s is not there, apt-get install %s failed, and so did apt-get update: %v\n%s%s", program, pkg, err, out, more)
			}
			if out, err := aptGet(t, "install", "-y", "--no-install-recommends", pkg); err != nil {
				t.Fatalf("%s is not there, and apt-get install %s failed: %v\n%s", program, pkg, err, out)
			}
		}
	}
}

func aptGet(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// closedMesh is a mesh in SMI mode without passthrough.
func closedMesh(t *testing.T) {
	t.Helper()
	installedMesh(t)
	meshConfig(t, `{"spec":{"traffic":{"enableEgress":false,"enablePermissiveTrafficPolicyMode":false}}}`)
}

// applyText applies a manifest.
func applyText(t *testing.T, manifest string) {
	t.Helper()
	if out, err := kubectlStdin(t, manifest, "apply", "-f", "-"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// world starts an nginx outside of the cluster's Services: http on port 80, TLS on 443, and a server that speaks first on 3306.
func world(t *testing.T) {
	t.Helper()
	inside(t, "ip", "address", "replace", worldIP+"/32", "dev", "lo")
	dir := t.TempDir()
	selfSigned(t, dir, "www.example.com")
	conf := fmt.Sprintf(`pid %[1]s/pid; error_log stderr; daemon off; events {}
http { access_log off;
  client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  server { listen %[2]s:80; listen %[2]s:443 ssl; ssl_certificate %[1]s/crt; ssl_certificate_key %[1]s/key;
    location / { default_type text/plain; return 200 "outside $request_method $host $uri [$http_x_osm_downstream_protocol]\n"; } } }
`, dir, worldIP)
	if err := os.WriteFile(filepath.Join(dir, "conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	background(t, "/usr/sbin/nginx", "-c", filepath.Join(dir, "conf"), "-p", dir, "-g", "user root;")
	background(t, filepath.Join(mesh.Root, "bin", "images", ".bin", "linux-amd64", "meshtest"), "tcpecho", "-address", worldIP, "-ports", "3306", "-banner", "welcome")

	file := filepath.Join(stateDir(), mesh.Name, "dns", "hosts")
	before, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(before, []byte(worldHosts+"\n")...), 0o644); err != nil { //nolint:gosec // the cluster's DNS reads it
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.WriteFile(file, before, 0o644) }) //nolint:gosec // as above
}

func stateDir() string {
	if d := os.Getenv("LOCALCLUSTER_STATE_DIR"); d != "" {
		return d
	}
	return "/var/lib/osm-localcluster"
}

func inside(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := mesh.Inside(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// background runs a program in the cluster's network until the test ends.
func background(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := mesh.Inside(t.Context(), name, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Signal(os.Interrupt); _ = cmd.Wait() })
}

func selfSigned(t *testing.T, dir, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}, &x509.Certificate{SerialNumber: big.NewInt(1)}, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{"crt": {Type: "CERTIFICATE", Bytes: der}, "key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// curl runs curl in a pod and returns what it printed, the status at the end, and its exit code.
func curl(t *testing.T, namespace, pod string, args ...string) (string, int) {
	t.Helper()
	all := append([]string{"exec", "-n", namespace, pod, "-c", "curl", "--", "curl", "-sk", "-m", "10", "-w", " %{http_code}"}, args...)
	out, err := mesh.Command(t.Context(), "kubectl", all...).Output()
	return string(out), exitCode(err)
}

const egressHead = `
apiVersion: policy.openservicemesh.io/v1alpha1
kind: Egress
metadata: {name: out, namespace: egress-client}
spec:
  sources: [{kind: ServiceAccount, name: curl, namespace: egress-client}]
`

// What an Egress opens, and nothing else; and nothing any more when it is gone.
func TestEgressPolicy(t *testing.T) {
	debianPrograms(t)
	closedMesh(t)
	meshNamespaces(t, "egress-client")
	world(t)
	apply(t, "egress.yaml")
	kubectl(t, "wait", "pod/curl", "-n", "egress-client", "--for=condition=Ready", "--timeout=60s")

	type call struct {
		args []string
		want string // a part of the output, or of "exit N"
	}
	all := func(t *testing.T, calls ...call) {
		t.Helper()
		for _, c := range calls {
			eventually(t, 20*time.Second, func() error {
				out, code := curl(t, "egress-client", "curl", c.args...)
				if got := fmt.Sprintf("%s exit %d", out, code); !strings.Contains(got, c.want) {
					return fmt.Errorf("curl %v: want %q, got %q", c.args, c.want, got)
				}
				return nil
			})
		}
	}
	closed := []call{
		{[]string{"http://www.example.com/"}, "exit 7"}, {[]string{"https://www.example.com/"}, "exit 7"}, {[]string{"http://169.254.169.254/"}, "exit 7"},
	}
	t.Run("nothing", func(t *testing.T) { all(t, closed...) })
	t.Run("http", func(t *testing.T) {
		applyText(t, egressHead+"  hosts: [www.example.com]\n  ports: [{number: 80, protocol: http}]\n")
		all(t, call{[]string{"http://www.example.com/x"}, "outside GET www.example.com /x []\n 200"},
			call{[]string{"http://api.example.com/"}, " 404 exit 0"}, call{[]string{"-H", "Host: www.example.com", "http://198.51.100.9/"}, " 200"},
			call{[]string{"https://www.example.com/"}, "exit 35"}, call{[]string{"http://www.example.com:443/"}, "exit 5"})
	})
	t.Run("http with routes", func(t *testing.T) {
		applyText(t, egressHead+`  hosts: [www.example.com]
  ports: [{number: 80, protocol: http}]
  matches: [{apiGroup: specs.smi-spec.io/v1alpha4, kind: HTTPRouteGroup, name: read}]
---
apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata: {name: read, namespace: egress-client}
spec: {matches: [{name: status, pathRegex: /status, methods: [GET]}]}
`)
		all(t, call{[]string{"http://www.example.com/other"}, " 404"}, call{[]string{"http://www.example.com/status"}, "/status []\n 200"},
			call{[]string{"-X", "POST", "http://www.example.com/status"}, " 404"},
			call{[]string{"--path-as-is", "http://www.example.com/status/../other"}, " 404"},
			call{[]string{"--path-as-is", "http://www.example.com/x/..%2fstatus"}, "outside GET www.example.com /status []\n 200"})
	})
	t.Run("http with limits", func(t *testing.T) {
		applyText(t, egressHead+`  hosts: [www.example.com]
  ports: [{number: 80, protocol: http}]
  matches: [{apiGroup: policy.openservicemesh.io/v1alpha1, kind: UpstreamTrafficSetting, name: none}]
---
apiVersion: policy.openservicemesh.io/v1alpha1
kind: UpstreamTrafficSetting
metadata: {name: none, namespace: egress-client}
spec: {host: www.example.com, connectionSettings: {http: {maxPendingRequests: 0}}}
`)
		// A request that has to wait for a connection is one too many.
		all(t, call{[]string{"http://www.example.com/"}, " 503"})
	})
	t.Run("https", func(t *testing.T) {
		applyText(t, egressHead+"  hosts: [www.example.com, '*.example.org']\n  ports: [{number: 443, protocol: https}]\n")
		all(t, call{[]string{"https://api.example.com/"}, "exit 35"}, call{[]string{"https://www.example.com/"}, "outside GET www.example.com / []\n 200"},
			call{[]string{"https://a.example.org/"}, " 200"}, call{[]string{"http://www.example.com:443/"}, "exit 5"})
	})
	t.Run("tcp, a server that speaks first", func(t *testing.T) {
		applyText(t, egressHead+"  ipAddresses: [203.0.113.0/24]\n  ports: [{number: 3306, protocol: tcp-server-first}]\n")
		client := pod{"egress-client", "curl", "curl"}
		client.want(t, 0, "welcome", "tcpget", "-send", "", worldIP+":3306")
		client.wantClosed(t, "tcpget", "198.51.100.9:3306")
		client.wantClosed(t, "tcpget", worldIP+":80")
	})
	t.Run("refused", func(t *testing.T) {
		out, err := kubectlStdin(t, egressHead+"  hosts: [localhost]\n  ports: [{number: 80, protocol: http}]\n", "apply", "-f", "-")
		if err == nil || !strings.Contains(out, "spec.hosts") || !strings.Contains(out, `"localhost" names the pod or its node and is refused`) {
			t.Errorf("want a refusal, got %v\n%s", err, out)
		}
	})
	t.Run("deleted", func(t *testing.T) {
		kubectl(t, "delete", "egress", "out", "-n", "egress-client")
		all(t, closed...)
	})
}
