package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// Bad input is refused with a message that names what is wrong, and changes nothing.
func TestBadManifests(t *testing.T) {
	walkthroughMesh(t)
	cases := []struct{ name, manifest, want string }{
		{"injection annotation", `
apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: bookbuyer, annotations: {openservicemesh.io/sidecar-injection: "perhaps"}}
spec: {containers: [{name: c, image: "openservicemesh/osm-meshtest:v1.3.0-dev"}]}
`, `Invalid annotation value for key "openservicemesh.io/sidecar-injection": perhaps`},
		{"port list", `
apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: bookbuyer, annotations: {openservicemesh.io/outbound-port-exclusion-list: "80,http"}}
spec: {containers: [{name: c, image: "openservicemesh/osm-meshtest:v1.3.0-dev"}]}
`, `openservicemesh.io/outbound-port-exclusion-list`},
		{"MeshConfig enum", `
apiVersion: config.openservicemesh.io/v1alpha2
kind: MeshConfig
metadata: {name: other, namespace: osm-system}
spec: {sidecar: {logLevel: loud}, certificate: {serviceCertValidityDuration: 24h, certKeyBitSize: 2048}}
`, `spec.sidecar.logLevel`},
		{"TrafficSplit weight", `
apiVersion: split.smi-spec.io/v1alpha2
kind: TrafficSplit
metadata: {name: bad, namespace: bookstore}
spec: {service: bookstore, backends: [{service: bookstore, weight: -1}]}
`, `weight`},
		{"TrafficTarget of another namespace", `
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: bad, namespace: bookbuyer}
spec:
  destination: {kind: ServiceAccount, name: bookstore, namespace: bookstore}
  rules: [{kind: HTTPRouteGroup, name: r, matches: [m]}]
  sources: [{kind: ServiceAccount, name: bookbuyer, namespace: bookbuyer}]
`, `The traffic target namespace (bookbuyer) must match spec.Destination.Namespace (bookstore)`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			out, err := kubectlStdin(t, c.manifest, "create", "-f", "-")
			if err == nil || !strings.Contains(out, c.want) {
				t.Errorf("want a refusal with %q, got (%v):\n%s", c.want, err, out)
			}
		})
	}
}

func TestBadCommands(t *testing.T) {
	walkthroughMesh(t)
	foreign := fmt.Sprintf("foreign-%d", time.Now().Unix()) // one of an earlier run may still be going
	kubectl(t, "create", "namespace", foreign)
	t.Cleanup(func() { // the test's own context is over by then
		_, _ = mesh.Run(context.Background(), "kubectl", "delete", "namespace", foreign, "--wait=false")
	})
	kubectl(t, "label", "namespace", foreign, "openservicemesh.io/monitored-by=other")
	cases := []struct {
		name string
		args []string
		want string
	}{
		{"unknown chart key", []string{"mesh", "upgrade", "--set=osm.noSuchKey=1"}, "noSuchKey"},
		{"second install of the name", []string{"install"}, "osm"},
		{"second mesh beside one that is single", []string{"install", "--mesh-name", "two", "--osm-namespace", "two"},
			"already enforce it is the only mesh in the cluster, cannot install new meshes"},
		{"namespace of another mesh", []string{"namespace", "remove", foreign},
			"Namespace belongs to mesh [other], not mesh [osm]. Please specify the correct mesh"},
		{"mesh that is not there", []string{"namespace", "add", foreign, "--mesh-name", "nope"},
			"mesh [nope] does not exist, please specify another mesh using --mesh-name or create a new mesh"},
		{"control plane namespace", []string{"namespace", "add", meshNamespace},
			"already has [osm-controller] installed and cannot be added to mesh [osm]"},
		{"pod without a sidecar", []string{"proxy", "get", "stats", "prober", "-n", "outside"}, "is not a part of a mesh"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			out, err := mesh.Run(t.Context(), "osm", c.args...)
			if !strings.Contains(out, c.want) || (err == nil && (c.args[0] == "install" || c.args[1] == "upgrade")) {
				t.Errorf("want %q, got (%v):\n%s", c.want, err, out)
			}
		})
	}
	t.Run("no cluster", func(t *testing.T) {
		cmd := mesh.Command(t.Context(), "osm", "install")
		cmd.Env = append(cmd.Env, "KUBECONFIG=/nonexistent")
		out, err := cmd.CombinedOutput()
		if exitCode(err) != 1 || !strings.Contains(string(out), "kubeconfig") {
			t.Errorf("want exit 1 and a message about the kubeconfig, got %v:\n%s", err, out)
		}
	})
	if out, _ := mesh.Run(t.Context(), "kubectl", "get", "deployment", "-n", "two"); strings.Contains(out, "osm-") {
		t.Errorf("a refused install left something behind:\n%s", out)
	}
}
