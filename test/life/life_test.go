package life

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"openservicemesh.io/osm/internal/version"
)

// The namespaces of the applications, named after the shape of their sidecars.
const (
	classic = "life-classic"
	native  = "life-native"
)

var namespaces = []string{classic, native}

// TestMeshLife installs the previous version, upgrades to this one and goes back, all under load, and removes everything.
// The control plane runs in a namespace that enforces the restricted Pod Security Standard.
func TestMeshLife(t *testing.T) {
	emptied(t)
	for _, ns := range namespaces {
		kubectl(t, "create", "namespace", ns)
		// Kubernetes puts these into every namespace, a moment later.
		kubectl(t, "wait", "serviceaccount/default", "configmap/kube-root-ca.crt", "-n", ns, "--for=create", "--timeout=60s")
	}
	before, err := objects(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	installPrevious(t)
	config := kubectl(t, "get", "meshconfig", "osm-mesh-config", "-n", meshNamespace, "-o", "jsonpath={.spec}")
	definition(t, false)
	stop := startLoad(t)

	step(t, "upgrade to this version", func() {
		linger(t)
		upgradeTo(t, "osm", version.Version)
		definition(t, true)
	})
	step(t, "change policy: sidecars of the previous version, this control plane", func() {
		mayCall(t, "/more", false)
		for _, ns := range namespaces {
			kubectl(t, "patch", "httproutegroup", "paths", "-n", ns, "--type=merge", "-p",
				`{"spec":{"matches":[{"name":"ok","pathRegex":"/(ok|more)","methods":["*"]}]}}`)
		}
		mayCall(t, "/more", true)
	})
	step(t, "restart servers: sidecars of both versions", func() { restartServers(t, version.Version) })
	step(t, "an upgrade that fails", func() { failingUpgrade(t) })
	step(t, "an upgrade that is interrupted", func() { interruptedUpgrade(t) })
	step(t, "changed and deleted by hand, while replicas of the previous version linger", func() {
		reconciled(t)
		shared(t, version.Version)
	})
	step(t, "back to the previous version", func() {
		leave(t)
		linger(t)
		upgradeTo(t, previous, previousVersion)
		definition(t, false)
		shared(t, previousVersion)
		leave(t)
	})
	step(t, "restart servers: sidecars of the previous version again", func() {
		restartServers(t, previousVersion)
		mayCall(t, "/more", true)
		mayCall(t, "/other", false)
	})

	l := stop()
	t.Logf("%d requests through all of it, %d failed", l.Requests, l.Failed)
	if l.Failed != 0 || l.Requests < 2000 {
		t.Errorf("want every request to succeed: %+v", l)
	}
	if now := kubectl(t, "get", "meshconfig", "osm-mesh-config", "-n", meshNamespace, "-o", "jsonpath={.spec}"); now != config {
		t.Errorf("spec of MeshConfig changed:\n%s\n%s", config, now)
	}
	step(t, "remove everything", func() {
		t.Log(must(t, "osm", "uninstall", "mesh", "-f", "-a", "--delete-namespace"))
		for _, ns := range namespaces {
			manifest(t, "delete", "app.yaml", ns, peer(ns))
		}
		asBefore(t, before)
	})
	kubectl(t, "delete", "namespace", classic, native, "--wait=false")
}

func step(t *testing.T, what string, do func()) {
	t.Helper()
	began := time.Now()
	do()
	t.Logf("%s: %.1f s", what, time.Since(began).Seconds())
}

// emptied removes what an earlier run left.
func emptied(t *testing.T) {
	t.Helper()
	must(t, "osm", "uninstall", "mesh", "-f", "-a", "--delete-namespace")
	kubectl(t, append([]string{"delete", "namespace", "--ignore-not-found", "--timeout=90s", meshNamespace}, namespaces...)...)
}

// installPrevious installs the previous version and onboards one namespace with each shape of sidecars.
func installPrevious(t *testing.T) {
	t.Helper()
	kubectl(t, "create", "namespace", meshNamespace)
	kubectl(t, "label", "namespace", meshNamespace, "pod-security.kubernetes.io/enforce=restricted")
	// A node of two cores holds both control planes at once with small requests alone.
	must(t, previous, "install", "--set=osm.sidecarMode=classic,osm.enableReconciler=true,osm.enablePermissiveTrafficPolicy=false",
		"--set=osm.osmController.resource.requests.cpu=0.1,osm.injector.resource.requests.cpu=0.1,osm.osmBootstrap.resource.requests.cpu=0.1")
	must(t, previous, "namespace", "add", classic, native)
	onboard(t, classic, 2)
	must(t, previous, "mesh", "upgrade", "--set=osm.sidecarMode=native")
	oneInjector(t)
	onboard(t, native, 1)
	// A value that the user changed.
	kubectl(t, "patch", "meshconfig", "osm-mesh-config", "-n", meshNamespace, "--type=merge", "-p", `{"spec":{"sidecar":{"logLevel":"warning"}}}`)
	for _, ns := range namespaces {
		manifest(t, "apply", "policy.yaml", ns, peer(ns))
	}
	mayCall(t, "/ok", true)
}

// onboard runs the applications of a namespace, whose pods must have this many containers beside those that start first.
func onboard(t *testing.T, ns string, containers int) {
	t.Helper()
	manifest(t, "apply", "app.yaml", ns, peer(ns))
	kubectl(t, "rollout", "status", "deployment/server", "-n", ns, "--timeout=60s")
	kubectl(t, "wait", "pod/client", "-n", ns, "--for=condition=Ready", "--timeout=60s")
	if names := strings.Fields(kubectl(t, "get", "pod", "client", "-n", ns, "-o", "jsonpath={.spec.containers[*].name}")); len(names) != containers {
		t.Fatalf("containers of client in %s: %v, want %d", ns, names, containers)
	}
}

// oneInjector waits until the injector that is leaving is gone: the API server goes on asking it, over the connection it has.
func oneInjector(t *testing.T) {
	t.Helper()
	eventually(t, 60*time.Second, func() error {
		if pods := strings.Fields(kubectl(t, "get", "pods", "-n", meshNamespace, "-l", "app=osm-injector", "-o", "name")); len(pods) != 1 {
			return fmt.Errorf("injectors: %v", pods)
		}
		return nil
	})
}

// mayCall waits until calls in both directions end as they should.
func mayCall(t *testing.T, path string, want bool) {
	t.Helper()
	for _, from := range namespaces {
		eventually(t, 15*time.Second, func() error {
			out, err := mesh.Run(t.Context(), "kubectl", "exec", "-n", from, "client", "-c", "app", "--",
				"osm-meshtest", "get", "-fail", "http://server."+peer(from)+":8080"+path)
			if (err == nil) != want {
				return fmt.Errorf("a call of %s from %s: allowed is %v, want %v: %s", path, from, err == nil, want, out)
			}
			return nil
		})
	}
}

// upgradeTo upgrades with an osm command and checks what runs then.
func upgradeTo(t *testing.T, osm, want string) {
	t.Helper()
	must(t, osm, "mesh", "upgrade")
	serving(t, want)
	oneInjector(t)
}

// serving fails unless the newest revision is deployed, alone, and runs the images of a version.
func serving(t *testing.T, want string) {
	t.Helper()
	for _, d := range []string{"osm-controller", "osm-injector", "osm-bootstrap"} {
		kubectl(t, "rollout", "status", "deployment/"+d, "-n", meshNamespace, "--timeout=60s")
		if image := kubectl(t, "get", "deployment", d, "-n", meshNamespace, "-o", "jsonpath={.spec.template.spec.containers[0].image}"); !strings.HasSuffix(image, ":"+want) {
			t.Errorf("%s runs %s, want version %s", d, image, want)
		}
	}
	releases := strings.Fields(kubectl(t, "get", "secrets", "-n", meshNamespace, "-l", "owner=helm", "--sort-by=.metadata.creationTimestamp",
		"-o", "jsonpath={.items[*].metadata.labels.status}"))
	if len(releases) == 0 || releases[len(releases)-1] != "deployed" {
		t.Errorf("status of the revisions: %v, want the last one deployed", releases)
	}
}

// restartServers gives the servers new sidecars.
func restartServers(t *testing.T, want string) {
	t.Helper()
	for _, ns := range namespaces {
		kubectl(t, "rollout", "restart", "deployment/server", "-n", ns)
	}
	for _, ns := range namespaces {
		kubectl(t, "rollout", "status", "deployment/server", "-n", ns, "--timeout=90s")
		if images := kubectl(t, "get", "pods", "-n", ns, "-l", "app=server", "--field-selector=status.phase=Running", "-o",
			"jsonpath={.items[*].spec.initContainers[*].image}"); !strings.Contains(images, "init:"+want) {
			t.Errorf("init containers of %s: %s, want version %s", ns, images, want)
		}
	}
}

// failingUpgrade upgrades to images that do not exist.
func failingUpgrade(t *testing.T) {
	t.Helper()
	out, err := mesh.Run(t.Context(), "osm", "mesh", "upgrade", "--set=osm.image.registry=127.0.0.1:9,osm.image.tag=nowhere", "--timeout=6s")
	t.Log(out)
	for _, part := range []string{"nowhere", "Error: the upgrade failed and was rolled back: mesh [osm] in namespace [osm-system] is back at revision ",
		"the control plane was not ready within 6s (--timeout)"} {
		if err == nil || !strings.Contains(out, part) {
			t.Errorf("osm mesh upgrade to images that do not exist: %v, want exit 1 and %q", err, part)
		}
	}
	serving(t, version.Version)
}

// interruptedUpgrade presses Ctrl-C while the upgrade waits.
func interruptedUpgrade(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	cmd := mesh.Command(ctx, "osm", "mesh", "upgrade", "--set=osm.image.registry=127.0.0.1:9,osm.image.tag=nowhere")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, func() error {
		image := kubectl(t, "get", "deployment", "osm-injector", "-n", meshNamespace, "-o", "jsonpath={.spec.template.spec.containers[0].image}")
		if !strings.HasSuffix(image, ":nowhere") {
			return fmt.Errorf("the upgrade has not begun: %s", image)
		}
		return nil
	})
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	t.Log(out.String())
	if err == nil || !strings.Contains(out.String(), "Error: interrupted, and the upgrade was rolled back: mesh [osm] in namespace [osm-system] is back at revision ") {
		t.Errorf("interrupted: %v", err)
	}
	serving(t, version.Version)
}

// reconciled changes and deletes what the reconciler looks after. Deleting a definition deletes its objects, so the one that is
// deleted has none.
func reconciled(t *testing.T) {
	t.Helper()
	const crd, unused = "traffictargets.access.smi-spec.io", "telemetries.policy.openservicemesh.io"
	kubectl(t, "patch", "crd", crd, "--type=json", "-p", `[{"op":"add","path":"/spec/names/shortNames","value":["altered"]}]`)
	kubectl(t, "delete", "crd", unused, "--wait=false")
	for kind, name := range webhookConfigurations {
		kubectl(t, "patch", kind, name, "--type=json", "-p", `[{"op":"replace","path":"/webhooks/0/failurePolicy","value":"Ignore"}]`)
		restored(t, kind, name, "{.webhooks[0].failurePolicy}", "Fail")
		kubectl(t, "delete", kind, name)
		restored(t, kind, name, "{.webhooks[0].failurePolicy}", "Fail")
	}
	restored(t, "crd", crd, "{.spec.names.shortNames[0]}", "tt")
	restored(t, "crd", unused, `{.status.conditions[?(@.type=="Established")].status}`, "True")
}

func restored(t *testing.T, kind, name, path, want string) {
	t.Helper()
	eventually(t, 15*time.Second, func() error {
		out, err := mesh.Output(t.Context(), "kubectl", "get", kind, name, "-o", "jsonpath="+path)
		if err == nil && out != want {
			err = fmt.Errorf("%s %s: %s is %q, want %q", kind, name, path, out, want)
		}
		return err
	})
}
