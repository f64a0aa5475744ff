package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"openservicemesh.io/osm/internal/testkit/figure"
)

// osm runs the command and fails the test when it fails.
func osm(t *testing.T, args ...string) string {
	t.Helper()
	out, err := mesh.Output(t.Context(), "osm", args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// osmSays repeats a command until it prints a text.
func osmSays(t *testing.T, want string, args ...string) {
	t.Helper()
	eventually(t, 30*time.Second, func() error {
		if out := osm(t, args...); !strings.Contains(out, want) {
			return fmt.Errorf("osm %s: want %q in\n%s", strings.Join(args, " "), want, out)
		}
		return nil
	})
}

// The osm command against a mesh that runs: what it says of calls is what happens to them, and the report that it makes for others
// holds nothing that is nobody's business.
func TestCommand(t *testing.T) {
	closedMesh(t)
	startPods(t, "cli.yaml", "cli")
	caller := pod{"cli", "caller", "app"}
	caller.want(t, 0, "200 OK", "get", "http://server.cli/")

	t.Run("policy check-pods", func(t *testing.T) {
		osmSays(t, " [+] Pod 'cli/caller' is allowed to communicate to pod 'cli/server' via the SMI TrafficTarget policy \"caller-calls-server\" in namespace cli\n",
			"policy", "check-pods", "cli/caller", "cli/server")
		osmSays(t, " [+] Pod 'cli/nobody' is not allowed to communicate to pod 'cli/server', missing SMI TrafficTarget policy\n",
			"policy", "check-pods", "cli/nobody", "cli/server")
	})
	t.Run("verify", func(t *testing.T) {
		const success = "\nStatus: Success\n"
		osmSays(t, success, "verify", "connectivity", "--from-pod", "cli/caller", "--to-pod", "cli/server", "--to-service", "server")
		osmSays(t, "\nReason: Outbound listener \"outbound-listener\" not found on source pod \"cli/nobody\"\n",
			"verify", "connectivity", "--from-pod", "cli/nobody", "--to-pod", "cli/server", "--to-service", "server")
		osmSays(t, success, "verify", "connectivity", "--from-pod", "cli/caller", "--to-pod", "cli/server", "--to-service", "members")
		osmSays(t, success, "verify", "control-plane-health")
		osmSays(t, "Did not find matching outbound filter chain", "verify", "egress", "--from-pod", "cli/caller", "--to-ext-port", "80")
	})
	t.Run("proxy set", func(t *testing.T) {
		caller.want(t, 0, "200 OK", "get", "http://server.cli/")
		const counter = "cluster.cli/server|14001.upstream_rq_total"
		if got := osm(t, "proxy", "get", "stats?filter=upstream_rq_total", "caller", "-n", "cli", "-p", "0"); strings.Contains(got, counter+": 0") {
			t.Errorf("calls are not counted:\n%s", got)
		}
		if got := osm(t, "proxy", "set", "reset_counters", "caller", "-n", "cli", "-p", "0"); got != "OK\n" {
			t.Errorf("reset_counters said %q", got)
		}
		if got := osm(t, "proxy", "get", "stats?filter=upstream_rq_total", "caller", "-n", "cli", "-p", "0"); !strings.Contains(got, counter+": 0\n") {
			t.Errorf("counters were not reset:\n%s", got)
		}
	})
	t.Run("metrics", func(t *testing.T) {
		scraped := func(pod string) (string, error) {
			return mesh.Run(t.Context(), "kubectl", "get", "--raw", "/api/v1/namespaces/cli/pods/"+pod+":15010/proxy/stats/prometheus")
		}
		if _, err := scraped("caller"); err == nil {
			t.Error("the port for Prometheus answers before metrics are enabled")
		}
		if got := osm(t, "metrics", "enable", "--namespace", "cli"); got != "Metrics successfully enabled in namespace [cli]\n" {
			t.Errorf("metrics enable said %q", got)
		}
		eventually(t, 30*time.Second, func() error {
			out, err := scraped("caller")
			if err == nil && !strings.Contains(out, "envoy_cluster_upstream_rq_total") {
				err = fmt.Errorf("no counters of Envoy in %.300s", out)
			}
			return err
		})
		if got := osm(t, "metrics", "disable", "--namespace", "cli"); got != "Metrics successfully disabled in namespace [cli]\n" {
			t.Errorf("metrics disable said %q", got)
		}
		eventually(t, 30*time.Second, func() error {
			if _, err := scraped("caller"); err == nil {
				return fmt.Errorf("the port for Prometheus still answers")
			}
			return nil
		})
	})
	t.Run("edges", func(t *testing.T) {
		eventually(t, 30*time.Second, func() error {
			out := osm(t, "edges", "-n", "cli")
			if !regexp.MustCompile(`(?m)^caller\.cli +cli/server:80 +http +cli/caller-calls-server +proven$`).MatchString(out) {
				return fmt.Errorf("no proven edge from the caller to the server:\n%s", out)
			}
			return nil
		})
	})
	t.Run("check", checkSoon)
	t.Run("bug-report", bugReport)
	t.Run("permissive", func(t *testing.T) {
		permissive(t, true)
		osmSays(t, " [+] Pod 'cli/nobody' is allowed to communicate to pod 'cli/server'\n", "policy", "check-pods", "cli/nobody", "cli/server")
		osmSays(t, "\nStatus: Success\n", "verify", "connectivity", "--from-pod", "cli/nobody", "--to-pod", "cli/server", "--to-service", "server")
	})
}

var checkBar = figure.Bar{What: "osm check ends (best of 3)", Limit: 3 * time.Second}

// checkSoon looks at the whole mesh and measures how long that takes.
func checkSoon(t *testing.T) {
	best := time.Hour
	for range 3 {
		began := time.Now()
		osm(t, "check")
		best = min(best, time.Since(began))
	}
	words, err := checkBar.Judge(best)
	t.Log(words)
	if err != nil {
		t.Error(err)
	}
}

// unwanted is what no report may hold.
var unwanted = regexp.MustCompile(`hunter2|PRIVATE KEY|LS0tLS1CRUdJTiBFQyBQUklWQVRFIEtFW|LS0tLS1CRUdJTiBQUklWQVRFIEtFW|eyJhbGciOi`)

// bugReport makes a report, looks for secrets in it, and replays it.
func bugReport(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "report.tar.gz")
	out := osm(t, "support", "bug-report", "--app-namespaces", "cli", "-o", file)
	if !strings.HasSuffix(out, "\n[+] Bug report successfully archived to "+file+"\n") || strings.Contains(out, "  x ") {
		t.Errorf("not everything was collected:\n%s", out)
	}
	if out, err := exec.CommandContext(t.Context(), "tar", "-xzf", file, "-C", dir).CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	root := filepath.Join(dir, "bug-report")
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if found := unwanted.Find(text); found != nil {
			t.Errorf("%s holds %q", path, found)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	for _, f := range []string{"pods/cli/caller/config_dump.json", "pods/cli/server/ready.txt", "control-plane/secret-names.txt", "policies/traffictargets.yaml"} {
		if info, err := os.Stat(filepath.Join(root, f)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", f, err)
		}
	}
	if got := osm(t, "x", "render", "-f", filepath.Join(root, "render"), "--proxy", "cli/caller", "-o", "envoy"); !strings.Contains(got, "outbound_cli/server_80_http") {
		t.Errorf("the report renders no chain to the server:\n%s", got)
	}
}
