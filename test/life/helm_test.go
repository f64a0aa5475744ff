package life

import (
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"

	"openservicemesh.io/osm/internal/version"
)

// TestHelmAlone brings the chart through an OCI registry onto the cluster and takes it away again with Helm's own command:
// no osm command installs, onboards or removes anything.
func TestHelmAlone(t *testing.T) {
	emptied(t)
	buildHelm(t)
	chart, number := pushed(t)
	install := []string{chart, "--version", number, "--plain-http", "-n", meshNamespace, "--wait", "--timeout", "120s"}
	step(t, "helm install", func() {
		helm(t, append(append([]string{"install", "osm"}, install...), "--create-namespace", "--values", values(t), "--set", "osm.enableEgress=false")...)
	})
	kubectl(t, "create", "namespace", classic)
	kubectl(t, "label", "namespace", classic, "openservicemesh.io/monitored-by=osm")
	kubectl(t, "annotate", "namespace", classic, "openservicemesh.io/sidecar-injection=enabled")
	onboard(t, classic, 1)
	calls(t)
	step(t, "helm upgrade", func() {
		helm(t, append(append([]string{"upgrade", "osm"}, install...), "--reset-then-reuse-values", "--set", "osm.controllerLogLevel=warn")...)
	})
	args := kubectl(t, "get", "deployment", "osm-controller", "-n", meshNamespace, "-o", "jsonpath={.spec.template.spec.containers[0].args}")
	if !strings.Contains(args, "warn") {
		t.Errorf("osm.controllerLogLevel did not reach the controller: %s", args)
	}
	calls(t)
	before := kubectl(t, "get", "pods", "-n", classic, "-o", "jsonpath={.items[*].metadata.uid}")
	step(t, "helm uninstall", func() { helm(t, "uninstall", "osm", "-n", meshNamespace, "--wait", "--timeout", "60s") })
	calls(t)
	if after := kubectl(t, "get", "pods", "-n", classic, "-o", "jsonpath={.items[*].metadata.uid}"); after != before {
		t.Errorf("pods before and after the removal: %s, %s", before, after)
	}
	step(t, "restart without a mesh", func() { withoutSidecars(t) })
	emptied(t)
}

// withoutSidecars starts the applications anew and finds them working and alone in their pods.
func withoutSidecars(t *testing.T) {
	t.Helper()
	kubectl(t, "delete", "pod", "client", "-n", classic)
	kubectl(t, "rollout", "restart", "deployment/server", "-n", classic)
	onboard(t, classic, 1)
	if first := kubectl(t, "get", "pods", "-n", classic, "-l", "app=client", "-o", "jsonpath={.items[*].spec.initContainers}"); first != "" {
		t.Errorf("containers that start first, without a mesh: %s", first)
	}
	calls(t)
}

// calls fails unless the client reaches the server of its namespace.
func calls(t *testing.T) {
	t.Helper()
	eventually(t, 15*time.Second, func() error {
		_, err := mesh.Run(t.Context(), "kubectl", "exec", "-n", classic, "client", "-c", "app", "--", "osm-meshtest", "get", "-fail", "http://server:8080/ok")
		return err
	})
}

// values is a file as a user writes it: a node of two cores needs small requests.
func values(t *testing.T) string {
	t.Helper()
	small := "{resource: {requests: {cpu: 100m}}}"
	file := filepath.Join(t.TempDir(), "values.yaml")
	text := "osm:\n  enablePermissiveTrafficPolicy: true\n  osmController: " + small + "\n  injector: " + small + "\n  osmBootstrap: " + small + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// pushed packages the chart and puts it into a registry on the loopback; it returns the chart's address and version.
func pushed(t *testing.T) (chart, chartVersion string) {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	dir, repository := t.TempDir(), "oci://"+strings.TrimPrefix(server.URL, "http://")+"/charts"
	helm(t, "package", "charts/osm", "-d", dir)
	packages, err := filepath.Glob(filepath.Join(dir, "osm-*.tgz"))
	if err != nil || len(packages) != 1 {
		t.Fatalf("helm package wrote %v (%v)", packages, err)
	}
	helm(t, "push", packages[0], repository, "--plain-http")
	return repository + "/osm", strings.TrimPrefix(version.Version, "v")
}

// helm runs Helm's command.
func helm(t *testing.T, args ...string) {
	t.Helper()
	must(t, "helm", args...)
}

// buildHelm builds the command that tools/helm pins; Go's cache makes that short from the second time on.
func buildHelm(t *testing.T) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(mesh.Root, "bin", "helm"), "helm.sh/helm/v4/cmd/helm")
	cmd.Dir, cmd.Env = filepath.Join(mesh.Root, "tools", "helm"), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build helm: %v\n%s", err, out)
	}
}
