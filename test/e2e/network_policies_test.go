package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestNetworkPolicies has an enforcer of NetworkPolicies on the node, and the chart's policies before the control plane: what sidecars,
// the API server and Prometheus need stays open, everything else is closed.
func TestNetworkPolicies(t *testing.T) {
	installedMesh(t)
	outsideNamespace(t, "visitors")
	if out, err := kubectlStdin(t, manifest(t, "network-policies.yaml"), "apply", "-f", "-"); err != nil {
		t.Fatal(err, out)
	}
	ready(t, "visitors/visitor")
	ready(t, "visitors/host")
	visitor := pod{"visitors", "visitor", "app"}
	bootstrap := podOf(t, "osm-bootstrap")
	listener := fmt.Sprintf("http://%s:7777/", listenIn(t, bootstrap))
	visitor.want(t, 0, "200 OK", "get", listener)
	enforcer(t)

	t.Run("policies are enforced", func(t *testing.T) {
		const host = "http://host.visitors:8080/"
		visitor.want(t, 0, "200 OK", "get", host)
		if out, err := kubectlStdin(t, `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: nobody, namespace: visitors}
spec: {podSelector: {matchLabels: {app: host}}, policyTypes: [Ingress]}
`, "apply", "-f", "-"); err != nil {
			t.Fatal(err, out)
		}
		visitor.wantBlocked(t, host)
	})
	networkPolicies(t, true)
	t.Cleanup(func() { networkPolicies(t, false) })
	t.Run("closed", func(t *testing.T) { visitor.wantBlocked(t, listener) })
	t.Run("open to Prometheus", func(t *testing.T) {
		for _, app := range []string{"osm-controller", "osm-injector", "osm-bootstrap"} {
			visitor.want(t, 0, "200 OK", "get", fmt.Sprintf("http://%s:9091/metrics", addressOf(t, podOf(t, app))))
		}
	})
	t.Run("open to the API server and to sidecars", func(t *testing.T) {
		meshNamespaces(t, "policed")
		apply(t, "network-policies-mesh.yaml")
		ready(t, "policed/app") // injected, and configured
		if containers := kubectl(t, "get", "pod", "app", "-n", "policed", "-o", "jsonpath={.spec.initContainers[*].name} {.spec.containers[*].name}"); !strings.Contains(containers, "envoy") {
			t.Errorf("containers: %s, want a sidecar", containers)
		}
		out, err := kubectlStdin(t, misplacedTarget, "create", "-f", "-")
		if err == nil || !strings.Contains(out, "The traffic target namespace (policed) must match spec.Destination.Namespace (elsewhere)") {
			t.Errorf("want the validator's refusal, got (%v):\n%s", err, out)
		}
		osm(t, "check")
	})
}

const misplacedTarget = `
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: bad, namespace: policed}
spec:
  destination: {kind: ServiceAccount, name: server, namespace: elsewhere}
  rules: [{kind: HTTPRouteGroup, name: r, matches: [m]}]
  sources: [{kind: ServiceAccount, name: client, namespace: policed}]
`

// wantBlocked repeats a call until no connection comes about.
func (p pod) wantBlocked(t *testing.T, url string) {
	t.Helper()
	eventually(t, 30*time.Second, func() error {
		if out, got := p.meshtest(t, "get", "-timeout", "2s", url); got != 7 && got != 28 {
			return fmt.Errorf("%s: exit %d, want no connection (7 or 28):\n%s", url, got, out)
		}
		return nil
	})
}

// networkPolicies switches the chart's policies.
func networkPolicies(t *testing.T, on bool) {
	t.Helper()
	if out, err := mesh.Run(context.Background(), "osm", "mesh", "upgrade", fmt.Sprintf("--set=osm.networkPolicy.enable=%v", on)); err != nil {
		t.Fatal(err, out)
	}
}

// podOf is the name of the pod of a program of the control plane.
func podOf(t *testing.T, app string) string {
	t.Helper()
	return kubectl(t, "get", "pods", "-n", meshNamespace, "-l", "app="+app, "--field-selector=status.phase=Running", "-o", "jsonpath={.items[0].metadata.name}")
}

func addressOf(t *testing.T, pod string) string {
	t.Helper()
	return kubectl(t, "get", "pod", pod, "-n", meshNamespace, "-o", "jsonpath={.status.podIP}")
}

// listenIn adds a container to a pod of the control plane that serves on a port which no program of it has, and returns the pod's
// address. The pod is replaced when the test ends.
func listenIn(t *testing.T, pod string) string {
	t.Helper()
	kubectl(t, "debug", "-n", meshNamespace, "pod/"+pod, "--image=openservicemesh/osm-meshtest:"+meshVersion, "--container=listener", "--profile=restricted",
		"--arguments-only", "--", "echo", "-ports", "7777")
	t.Cleanup(func() {
		if out, err := mesh.Run(context.Background(), "kubectl", "delete", "pod", pod, "-n", meshNamespace); err != nil {
			t.Error(err, out)
		}
		if out, err := mesh.Run(context.Background(), "kubectl", "rollout", "status", "deployment/osm-bootstrap", "-n", meshNamespace, "--timeout=60s"); err != nil {
			t.Error(err, out)
		}
	})
	return addressOf(t, pod)
}

// enforcer runs kube-router's enforcer of NetworkPolicies on the node until the test ends.
func enforcer(t *testing.T) {
	t.Helper()
	if err := mesh.NeedPackages(t.Context(), os.Stdout, map[string]string{"/usr/sbin/iptables": "iptables", "/usr/sbin/ipset": "ipset"}); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(mesh.Root, "bin", "kube-router")
	build := mesh.Command(t.Context(), "go", "build", "-trimpath", "-o", program, "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router")
	build.Dir = filepath.Join(mesh.Root, "tools", "networkpolicies")
	build.Env = append(build.Env, "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build kube-router: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		// Its own --cleanup-config dies of a null pointer. Chains that nothing jumps to do nothing.
		const cleanUp = `for f in iptables ip6tables; do $f-save -t filter | sed -n "s/^-A \(.* -j KUBE-ROUTER-.*\)/$f -D \1/p" | sh -e || exit 1; done`
		if out, err := mesh.Inside(context.Background(), "sh", "-c", cleanUp).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
	node := kubectl(t, "get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")
	background(t, program, "--run-firewall=true", "--run-router=false", "--run-service-proxy=false", "--kubeconfig="+mesh.Kubeconfig, "--hostname-override="+node)
}
