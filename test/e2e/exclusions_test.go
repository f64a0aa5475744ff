package e2e

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const exclusionNamespace = "excl"

// later is a client that is made after MeshConfig changed.
func later(name, annotations string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: excl, annotations: {%s}}
spec:
  serviceAccountName: client
  terminationGracePeriodSeconds: 1
  containers:
  - {name: app, image: "openservicemesh/osm-meshtest:VERSION", args: [sleep]}
`, name, annotations)
}

// TestExclusions: what bypasses the sidecar by a pod's annotations, by MeshConfig and by both. A pod keeps what it was started
// with until it is restarted, and osm check says which those are.
func TestExclusions(t *testing.T) {
	closedMesh(t)
	meshNamespaces(t, exclusionNamespace)
	inside(t, "ip", "address", "replace", worldIP+"/32", "dev", "lo")
	background(t, filepath.Join(mesh.Root, "bin", "images", ".bin", "linux-amd64", "meshtest"), "echo", "-address", worldIP, "-ports", "8081,8082")
	apply(t, "exclusions.yaml")
	client := func(name string) pod { return pod{exclusionNamespace, name, "app"} }
	reaches := func(t *testing.T, name string, port int, yes bool) {
		t.Helper()
		url := fmt.Sprintf("http://%s:%d/", worldIP, port)
		if yes {
			client(name).want(t, 0, `"path":"/"`, "get", "-fail", url)
		} else {
			client(name).want(t, 7, "", "get", "-fail", url)
		}
	}
	// start makes a pod once the injector tells such pods something.
	start := func(t *testing.T, name, annotations, told string) {
		t.Helper()
		text := strings.ReplaceAll(later(name, annotations), "VERSION", meshVersion)
		eventually(t, 20*time.Second, func() error {
			out, err := kubectlStdin(t, text, "create", "-f", "-", "--dry-run=server", "-o", `jsonpath={.spec.initContainers[?(@.name=="osm-init")].env[?(@.name=="OSM_REDIRECT")].value}`)
			if err != nil || !strings.Contains(out, told) {
				return fmt.Errorf("want %s, got %w\n%s", told, err, out)
			}
			return nil
		})
		applyText(t, text)
		ready(t, exclusionNamespace+"/"+name)
	}
	for _, name := range []string{"plain", "ports", "ranges", "only", "server"} {
		ready(t, exclusionNamespace+"/"+name)
	}
	t.Run("annotations", func(t *testing.T) {
		reaches(t, "plain", 8081, false)
		reaches(t, "ports", 8081, true)
		reaches(t, "ports", 8082, false)
		reaches(t, "ranges", 8081, true)
		reaches(t, "ranges", 8082, true)
		reaches(t, "only", 8081, true)
		client("only").want(t, 7, "", "get", "http://server.excl/")
	})
	t.Run("inbound ports", func(t *testing.T) {
		ip := kubectl(t, "get", "pod", "server", "-n", exclusionNamespace, "-o", "jsonpath={.status.podIP}")
		for port, want := range map[int]string{8080: "0", 8081: "56"} {
			out, _ := mesh.Inside(t.Context(), "sh", "-c", fmt.Sprintf("curl -s -m 5 -o /dev/null http://%s:%d/; echo $?", ip, port)).Output()
			if strings.TrimSpace(string(out)) != want {
				t.Errorf("from outside of the mesh to port %d: exit %s, want %s", port, out, want)
			}
		}
	})
	t.Run("of the mesh and of the pod", func(t *testing.T) {
		meshConfig(t, `{"spec":{"traffic":{"outboundPortExclusionList":[8081]}}}`)
		eventually(t, 20*time.Second, func() error {
			if said := outdated(t); said["pod excl/plain"] != "outboundPorts was empty and is [8081]" || said["pod excl/ports"] != "" {
				return fmt.Errorf("osm check does not name the pods to restart, but %v", said)
			}
			return nil
		})
		start(t, "merged", `openservicemesh.io/outbound-port-exclusion-list: "8082"`, `"outboundPorts":[8081,8082]`)
		reaches(t, "merged", 8081, true)
		reaches(t, "merged", 8082, true)
		reaches(t, "plain", 8081, false)
		kubectl(t, "delete", "pod", "plain", "-n", exclusionNamespace)
		start(t, "plain", "", `"outboundPorts":[8081]`)
		reaches(t, "plain", 8081, true)
		if said := outdated(t); said["pod excl/plain"] != "" || said["pod excl/merged"] != "" || said["pod excl/only"] == "" {
			t.Errorf("osm check names pods that were started anew, or not those that were not: %v", said)
		}
	})
	t.Run("address ranges and interfaces of the mesh", func(t *testing.T) {
		meshConfig(t, `{"spec":{"traffic":{"outboundIPRangeExclusionList":["203.0.113.10/32"]}}}`)
		start(t, "range", "", `"outboundRanges":["203.0.113.10/32"]`)
		reaches(t, "range", 8082, true)
		meshConfig(t, `{"spec":{"traffic":{"outboundIPRangeExclusionList":[],"networkInterfaceExclusionList":["eth0"]}}}`)
		start(t, "interface", "", `"interfaces":["eth0"]`)
		reaches(t, "interface", 8082, true)
	})
	t.Run("refused", func(t *testing.T) {
		out, err := kubectlStdin(t, strings.ReplaceAll(later("bad", `openservicemesh.io/outbound-port-exclusion-list: "80,x"`), "VERSION", meshVersion), "apply", "-f", "-")
		if err == nil || !strings.Contains(out, `"x" is not a port`) {
			t.Errorf("want a refusal, got %v\n%s", err, out)
		}
	})
}

// outdated is what osm check says about pods that are redirected otherwise than they would be now.
func outdated(t *testing.T) map[string]string {
	t.Helper()
	out, err := mesh.Output(t.Context(), "osm", "check", "-o", "json")
	var results []struct{ ID, Object, Message string }
	if jsonErr := json.Unmarshal([]byte(out), &results); jsonErr != nil {
		t.Fatalf("osm check: %v %v\n%s", jsonErr, err, out) // it may fail for other reasons and still say all
	}
	said := map[string]string{}
	for _, r := range results {
		if r.ID == "redirection-current" {
			_, said[r.Object], _ = strings.Cut(r.Message, "have now: ")
		}
	}
	return said
}
