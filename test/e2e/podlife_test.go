package e2e

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

const lifeNamespace = "life"

// TestPodLife: pods that end, begin with the network, are copied, or cannot have a sidecar.
func TestPodLife(t *testing.T) {
	installedMesh(t)
	permissive(t, true)
	meshNamespaces(t, lifeNamespace)
	apply(t, "podlife.yaml")
	ready(t, "life/server")
	t.Run("jobs", func(t *testing.T) {
		// With native sidecars the very first call of an application succeeds.
		jobs(t, `[get, -fail, "http://server.life/"]`, `[get, -fail, "http://server.life/"]`)
	})
	t.Run("a copy to debug", func(t *testing.T) {
		kubectl(t, "debug", "server", "-n", lifeNamespace, "--copy-to=copy", "--share-processes=false", "--set-image=app=openservicemesh/osm-meshtest:"+meshVersion)
		ready(t, "life/copy")
		uuid := func(name string) string {
			return kubectl(t, "get", "pod", name, "-n", lifeNamespace, "-o", `jsonpath={.metadata.labels.osm-proxy-uuid}`)
		}
		if a, b := uuid("server"), uuid("copy"); a == "" || b == "" || a == b {
			t.Errorf("uuids of the pod and of its copy: %q and %q", a, b)
		}
		if names := containersOf(t, "get", "pod", "copy", "-n", lifeNamespace); strings.Count(names, "envoy") != 1 || strings.Count(names, "osm-init") != 1 {
			t.Errorf("containers of the copy: %s", names)
		}
		pod{lifeNamespace, "copy", "app"}.want(t, 0, `"pod":"server"`, "get", "-fail", "http://server.life/")
	})
	t.Run("pods that are left alone", func(t *testing.T) {
		for spec, why := range map[string]string{"hostNetwork: true": "hostNetwork", "os: {name: windows}": "Windows"} {
			out, err := kubectlStdin(t, lonePod(spec), "create", "-f", "-", "--dry-run=server", "-o", "jsonpath={.spec.initContainers[*].name} {.spec.containers[*].name}")
			if err != nil || !strings.Contains(out, "Warning: ") || !strings.Contains(out, why) || strings.Contains(out, "envoy") {
				t.Errorf("%s: want a warning and no sidecar, got %v\n%s", spec, err, out)
			}
		}
	})
	t.Run("resources of the sidecar", func(t *testing.T) {
		meshConfig(t, `{"spec":{"sidecar":{"resources":{"limits":{"cpu":"1500m","memory":"200M"},"requests":{"cpu":"10m","memory":"64M"}}}}}`)
		eventually(t, 20*time.Second, func() error {
			out, err := kubectlStdin(t, lonePod(""), "create", "-f", "-", "--dry-run=server", "-o", "jsonpath={.spec.initContainers[*].resources}")
			if want := `{"limits":{"cpu":"1500m","memory":"200M"},"requests":{"cpu":"10m","memory":"64M"}}`; err != nil || !strings.Contains(out, want) {
				return fmt.Errorf("%.300q %w", out, err)
			}
			return nil
		})
		// A limit of memory has the sidecar watch its heap.
		applyText(t, strings.ReplaceAll(lonePod(""), "name: lone", "name: limited"))
		ready(t, "life/limited")
		pod{lifeNamespace, "limited", "app"}.want(t, 0, `"pod":"server"`, "get", "-fail", "http://server.life/")
		for figure, want := range map[string]string{"resource_monitors.fixed_heap.pressure": "[1-9][0-9]?", "overload_actions.stop_accepting_requests.active": "0"} {
			if out := osm(t, "proxy", "get", "stats", "limited", "-n", lifeNamespace, "-p", "0"); !regexp.MustCompile(`overload\.envoy\.` + figure + `: ` + want + `\n`).MatchString(out) {
				t.Errorf("%s is not %s:\n%s", figure, want, out)
			}
		}
	})
	t.Run("TLS versions", func(t *testing.T) {
		old := `{"spec":{"sidecar":{"tlsMinProtocolVersion":"TLSv1_0","tlsMaxProtocolVersion":"TLSv1_1"}}}`
		meshConfig(t, old)
		eventually(t, 20*time.Second, func() error {
			out, err := kubectlStdin(t, lonePod(""), "create", "-f", "-", "--dry-run=server", "-o", "jsonpath={.metadata.annotations}")
			if err != nil || !strings.Contains(out, "TLSv1_1") {
				return fmt.Errorf("the injector does not know of it: %w\n%.300s", err, out)
			}
			return nil
		})
		applyText(t, lonePod(""))
		meshConfig(t, `{"spec":{"sidecar":{"tlsMinProtocolVersion":"TLSv1_2","tlsMaxProtocolVersion":"TLSv1_2"}}}`)
		eventually(t, 20*time.Second, func() error {
			out, err := kubectlStdin(t, lonePod(""), "create", "-f", "-", "--dry-run=server", "-o", "jsonpath={.metadata.annotations}")
			if err == nil && strings.Contains(out, "TLSv1_1") {
				return fmt.Errorf("the injector still says TLSv1_1")
			}
			return nil
		})
		applyText(t, strings.ReplaceAll(lonePod(""), "name: lone", "name: newer"))
		ready(t, "life/newer")
		pod{lifeNamespace, "newer", "app"}.want(t, 0, `"pod":"server"`, "get", "-fail", "http://server.life/")
		if out := kubectl(t, "get", "pod", "lone", "-n", lifeNamespace, "-o", `jsonpath={.status.conditions[?(@.type=="Initialized")].status}`); out != "False" {
			t.Errorf("a sidecar that speaks TLS 1.1 at most was configured: Initialized is %s", out)
		}
	})
}

// TestClassicJobs: with sidecars that are ordinary containers, Jobs complete too.
func TestClassicJobs(t *testing.T) {
	installedMesh(t)
	permissive(t, true)
	meshNamespaces(t, lifeNamespace)
	apply(t, "podlife.yaml")
	ready(t, "life/server")
	t.Cleanup(func() { sidecarMode(t, context.Background(), "auto") })
	sidecarMode(t, t.Context(), "classic")
	// The application starts before its sidecar, and its init containers before the redirection.
	jobs(t, `[watch, -url, "http://server.life/", -until, "^200", -duration, 40s]`, `[sleep, -duration, 1s]`)
}

// jobs starts the callers and waits until each has come to its end.
func jobs(t *testing.T, call, prepare string) {
	t.Helper()
	applyText(t, manifest(t, "podlife-callers.yaml", "CALL", call, "INIT", prepare))
	kubectl(t, "create", "job", "from-cron", "--from=cronjob/cron", "-n", lifeNamespace)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(mesh.Output(context.Background(), "kubectl", "get", "pods", "-n", lifeNamespace, "-o",
				`jsonpath={range .items[*]}{.metadata.name} {.status.phase}{range .status.containerStatuses[*]}{"\n  "}{.name} {.started} {.state}{end}{"\n"}{end}`))
		}
	})
	start := time.Now()
	for _, job := range []string{"never", "on-failure", "from-cron"} {
		kubectl(t, "wait", "job/"+job, "-n", lifeNamespace, "--for=condition=Complete", "--timeout=60s")
		if failed := kubectl(t, "get", "job", job, "-n", lifeNamespace, "-o", "jsonpath={.status.failed}"); failed != "" && failed != "0" {
			t.Errorf("job %s: %s pods failed", job, failed)
		}
	}
	kubectl(t, "wait", "job/fails", "-n", lifeNamespace, "--for=condition=Failed", "--timeout=60s")
	t.Logf("three Jobs completed and one failed within %s", time.Since(start).Round(time.Millisecond))
	ready(t, "life/prepared")
}

func containersOf(t *testing.T, args ...string) string {
	t.Helper()
	return kubectl(t, append(args, "-o", "jsonpath={.spec.initContainers[*].name} {.spec.containers[*].name}")...)
}

// lonePod is a pod with something said about it.
func lonePod(spec string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: lone, namespace: life}
spec:
  serviceAccountName: app
  terminationGracePeriodSeconds: 1
  %s
  containers:
  - {name: app, image: "openservicemesh/osm-meshtest:%s", args: [sleep]}
`, spec, meshVersion)
}
