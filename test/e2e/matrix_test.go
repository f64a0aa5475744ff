package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"openservicemesh.io/osm/internal/core/explain"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/sim"
	"openservicemesh.io/osm/internal/core/snapshot"
	"openservicemesh.io/osm/internal/kube/manifests"
	"openservicemesh.io/osm/internal/pipeline"
)

// row is one situation of the outcome matrix and what the caller sees, in the simulator's words.
type row struct {
	situation, from, url string
	want                 string
}

// TestOutcomeMatrix makes each call for real and asks the simulator about the same call, on what the live cluster holds:
// both must say what the matrix says.
func TestOutcomeMatrix(t *testing.T) {
	walkthroughMesh(t)
	applyMatrix(t)
	api := kubectl(t, "get", "service", "kubernetes", "-o", "jsonpath={.spec.clusterIP}")
	check(t, []row{
		{"no permitted upstream, egress off", "nobody", "http://web.matrix/foo", "refused"},
		{"no permitted upstream, egress off, TCP", "nobody", "tcp://db.matrix:9000", "refused"},
		{"permitted upstreams exist, destination not among them", "anything", "tcp://" + api + ":443", "reset"},
		{"granted", "foo", "http://web.matrix/foo", "answered 200"},
		{"granted, by another of the service's names", "foo", "http://web.matrix.svc.cluster.local:80/foo", "answered 200"},
		{"granted by another target", "anything", "http://web.matrix/anything", "answered 200"},
		{"HTTP route not defined at the server", "foo", "http://web.matrix/nope", "answered 404"},
		{"route defined, principal not allowed", "foo", "http://web.matrix/anything", "answered 403"},
		{"the same the other way round", "anything", "http://web.matrix/foo", "answered 403"},
		{"a detour to another path", "foo", "http://web.matrix/foo/../anything", "answered 403"},
		{"TCP port granted", "foo", "tcp://db.matrix:9000", "connected"},
		{"TCP port not granted", "foo", "tcp://db.matrix:9001", "reset"},
		{"plaintext client outside the mesh, HTTP port", "outside", "http://SERVER:8080/foo", "reset"},
		{"plaintext client outside the mesh, TCP port", "outside", "tcp://SERVER:9000", "reset"},
	})
	patchMesh(t, `{"spec":{"traffic":{"enableEgress":true}}}`)
	check(t, []row{
		{"destination not among the permitted, egress on", "anything", "http://" + api + ":443/", "passthrough"},
		{"no permitted upstream, egress on", "nobody", "http://" + api + ":443/", "passthrough"},
	})
	patchMesh(t, `{"spec":{"traffic":{"enableEgress":false,"enablePermissiveTrafficPolicyMode":true}}}`)
	check(t, []row{
		{"permissive", "nobody", "http://web.matrix/whatever", "answered 200"},
		{"permissive, TCP", "nobody", "tcp://db.matrix:9001", "connected"},
		{"no healthy upstream", "nobody", "http://empty.matrix/", "answered 503"},
		{"permissive, plaintext client outside the mesh", "outside", "http://SERVER:8080/foo", "reset"},
	})
}

// TestDebugServerToggles: off means refused.
func TestDebugServerToggles(t *testing.T) {
	walkthroughMesh(t)
	debug := func() error {
		_, err := mesh.Run(t.Context(), "kubectl", "exec", "-n", "outside", "prober", "--", "osm-meshtest", "get", "-timeout", "2s",
			"http://osm-controller."+meshNamespace+":9092/debug")
		return err
	}
	if code := exitCode(debug()); code != 7 {
		t.Errorf("debug server off: exit %d, want 7", code)
	}
	t.Cleanup(func() {
		_, _ = mesh.Run(context.Background(), "kubectl", "patch", "meshconfig", "osm-mesh-config", "-n", meshNamespace, "--type=merge",
			"-p", `{"spec":{"observability":{"enableDebugServer":false}}}`)
	})
	kubectl(t, "patch", "meshconfig", "osm-mesh-config", "-n", meshNamespace, "--type=merge", "-p", `{"spec":{"observability":{"enableDebugServer":true}}}`)
	eventually(t, 15*time.Second, debug)
}

// TestInjectorDown: without the webhook no pod is made in a namespace of the mesh, rather than one without a sidecar.
func TestInjectorDown(t *testing.T) {
	walkthroughMesh(t)
	t.Cleanup(func() {
		_, _ = mesh.Run(context.Background(), "kubectl", "scale", "deployment/osm-injector", "-n", meshNamespace, "--replicas=1")
		_, _ = mesh.Run(context.Background(), "kubectl", "rollout", "status", "deployment/osm-injector", "-n", meshNamespace, "--timeout=60s")
	})
	kubectl(t, "scale", "deployment/osm-injector", "-n", meshNamespace, "--replicas=0")
	kubectl(t, "wait", "--for=delete", "pod", "-l", "app=osm-injector", "-n", meshNamespace, "--timeout=60s")
	out, err := mesh.Run(t.Context(), "kubectl", "run", "never", "-n", "bookbuyer", "--image=openservicemesh/osm-meshtest:v1.3.0-dev", "--", "sleep")
	if err == nil || !strings.Contains(out, names.InjectorWebhook) {
		t.Errorf("want the API server to refuse the pod because of %s, got %v:\n%s", names.InjectorWebhook, err, out)
	}
}

func applyMatrix(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		ctx := context.Background()
		_, _ = mesh.Run(ctx, "kubectl", "delete", "namespace", "matrix", "--wait=true", "--timeout=60s")
		_, _ = mesh.Run(ctx, "kubectl", "patch", "meshconfig", "osm-mesh-config", "-n", meshNamespace, "--type=merge", "-p",
			`{"spec":{"traffic":{"enableEgress":false,"enablePermissiveTrafficPolicyMode":false}}}`)
	})
	text, err := os.ReadFile(filepath.Join("testdata", "matrix.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, 60*time.Second, func() error { // the namespace of an earlier run may still be going
		out, err := kubectlStdin(t, string(text), "apply", "-f", "-")
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	kubectl(t, "wait", "pods", "--all", "-n", "matrix", "--for=condition=Ready", "--timeout=90s")
}

func patchMesh(t *testing.T, patch string) {
	t.Helper()
	kubectl(t, "patch", "meshconfig", "osm-mesh-config", "-n", meshNamespace, "--type=merge", "-p", patch)
}

// check makes the calls. A change of policy needs a moment to arrive, so each row has five seconds to come true.
func check(t *testing.T, rows []row) {
	t.Helper()
	live := liveMesh(t)
	for _, r := range rows {
		r.url = strings.ReplaceAll(r.url, "SERVER", live.podIP(t, "server").String())
		t.Run(r.situation, func(t *testing.T) {
			if got := live.simulate(t, r); got != r.want {
				t.Errorf("the simulator says %q, the matrix %q", got, r.want)
			}
			// What passes through reaches the API server, which answers plain HTTP on its TLS port with 400.
			want := strings.Replace(r.want, "passthrough", "answered 400", 1)
			eventually(t, 5*time.Second, func() error {
				if got := call(t, r); got != want {
					return fmt.Errorf("the call ends %q, the matrix says %q", got, want)
				}
				return nil
			})
		})
	}
}

// call makes one call from the pod and says in the simulator's words how it ended.
func call(t *testing.T, r row) string {
	t.Helper()
	pod := []string{"exec", "-n", "matrix", r.from, "-c", "app", "--", "osm-meshtest"}
	if r.from == "outside" {
		pod = []string{"exec", "-n", "outside", "prober", "--", "osm-meshtest"}
	}
	u, err := url.Parse(r.url)
	if err != nil {
		t.Fatal(err)
	}
	if u.Scheme == "tcp" {
		pod = append(pod, "tcpget", "-timeout", "3s", u.Host)
	} else {
		pod = append(pod, "get", "-timeout", "3s", r.url)
	}
	out, err := mesh.Output(t.Context(), "kubectl", pod...)
	switch code := exitCode(err); {
	case code == 7:
		return "refused"
	case code == 52 || code == 56:
		return "reset"
	case code != 0:
		return fmt.Sprintf("exit %d: %s", code, out)
	case u.Scheme == "tcp":
		return "connected"
	}
	f := strings.Fields(out) // HTTP/1.1 200 OK
	if len(f) < 2 {
		return "no status line: " + out
	}
	return "answered " + f[1]
}

// live is what the cluster holds now, as the control plane would see it.
type live struct {
	snap *snapshot.Snapshot
	mesh *explain.Mesh
}

func liveMesh(t *testing.T) *live {
	t.Helper()
	var list struct{ Items []json.RawMessage }
	text := kubectl(t, "get", "namespaces,services,pods,endpointslices,traffictargets,httproutegroups,tcproutes,trafficsplits,meshconfigs.v1alpha2.config.openservicemesh.io",
		"-A", "-o", "json")
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		t.Fatal(err)
	}
	docs := make([][]byte, 0, len(list.Items))
	for _, item := range list.Items {
		docs = append(docs, item)
	}
	read, err := manifests.Read("cluster", bytes.NewReader(bytes.Join(docs, []byte("\n---\n"))), manifests.Options{MeshName: "osm", OSMNamespace: meshNamespace, Live: true})
	if err != nil {
		t.Fatal(err)
	}
	view, err := pipeline.New([]byte("roots")).Apply(read.Snapshot, snapshot.Changed{Config: true})
	if err != nil {
		t.Fatal(err)
	}
	return &live{snap: read.Snapshot, mesh: explain.New(view)}
}

func (l *live) simulate(t *testing.T, r row) string {
	t.Helper()
	u, err := url.Parse(r.url)
	if err != nil {
		t.Fatal(err)
	}
	var req *sim.Request
	if u.Scheme == "http" {
		req = &sim.Request{Method: "GET", Path: u.Path, Host: u.Host, Headers: map[string]string{}}
	}
	var out sim.Outcome
	if r.from == "outside" {
		to := netip.MustParseAddrPort(u.Host)
		out, err = sim.FromOutside(l.mesh.At(to), to, sim.Stranger{HTTP: req})
	} else {
		out, err = sim.FromMesh(l.mesh.At(netip.AddrPortFrom(l.podIP(t, r.from), 0)), l.mesh.At, sim.Call{To: l.address(t, u), HTTP: req})
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func (l *live) podIP(t *testing.T, name string) netip.Addr {
	t.Helper()
	for _, pod := range l.snap.Pods {
		if pod.ID.Namespace == "matrix" && pod.ID.Name == name {
			return pod.IPs[0]
		}
	}
	t.Fatalf("pod matrix/%s has no address", name)
	return netip.Addr{}
}

// address resolves a URL's host as the cluster's DNS would.
func (l *live) address(t *testing.T, u *url.URL) netip.AddrPort {
	t.Helper()
	port := u.Port()
	if port == "" {
		port = "80"
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil {
		return netip.MustParseAddrPort(netip.AddrPortFrom(ip, 0).Addr().String() + ":" + port)
	}
	parts := strings.Split(u.Hostname(), ".")
	svc := l.snap.Service(meshid.Service{Namespace: parts[1], Name: parts[0]})
	if svc == nil {
		t.Fatalf("no service %s", u.Hostname())
	}
	return netip.MustParseAddrPort(svc.ClusterIPs[0].String() + ":" + port)
}
