//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"openservicemesh.io/osm/localcluster/internal/cluster"
	"openservicemesh.io/osm/localcluster/internal/component"
	"openservicemesh.io/osm/localcluster/internal/image"
	"openservicemesh.io/osm/localcluster/internal/kubeapi"
	"openservicemesh.io/osm/localcluster/internal/process"
)

// Built once by TestMain.
var localcluster, probe, probeTar string

func TestMain(m *testing.M) {
	code, err := setUp(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func setUp(m *testing.M) (int, error) {
	if os.Geteuid() != 0 {
		return 1, fmt.Errorf("these tests need root: sudo env PATH=$PATH go test -tags e2e ./e2e")
	}
	dir, err := os.MkdirTemp("", "lc-e2e-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	localcluster, probe, probeTar = filepath.Join(dir, "localcluster"), filepath.Join(dir, "probe"), filepath.Join(dir, "probe.tar")
	for out, pkg := range map[string]string{localcluster: "../cmd/localcluster", probe: "./probe"} {
		cmd := exec.Command("go", "build", "-o", out, pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if b, err := cmd.CombinedOutput(); err != nil {
			return 1, fmt.Errorf("build %s: %w\n%s", pkg, err, b)
		}
	}
	var tar bytes.Buffer
	if err := image.Write(&tar, "local/probe:1", "probe", probe); err != nil {
		return 1, err
	}
	if err := os.WriteFile(probeTar, tar.Bytes(), 0o600); err != nil {
		return 1, err
	}
	if os.Getenv("LOCALCLUSTER_SOURCE") == "" {
		if err := os.Setenv("LOCALCLUSTER_SOURCE", ".."); err != nil {
			return 1, err
		}
	}
	// Programs and packages are not what is measured below.
	warm := exec.Command(localcluster, "build")
	warm.Stderr = os.Stderr
	if err := warm.Run(); err != nil {
		return 1, fmt.Errorf("build the cluster's programs: %w", err)
	}
	return m.Run(), nil
}

// testCluster is a cluster of one test.
type testCluster struct {
	t *testing.T
	l cluster.Layout
}

// newCluster makes a handle, starts nothing, and takes the cluster down at the
// end whatever happened.
func newCluster(t *testing.T, name, base string) *testCluster {
	t.Helper()
	l, err := cluster.NewLayout(name, base)
	if err != nil {
		t.Fatal(err)
	}
	c := &testCluster{t: t, l: l}
	t.Cleanup(func() {
		if t.Failed() {
			if out, err := c.run("logs", "supervisor", "--tail", "20"); err == nil {
				t.Logf("log of the supervisor:\n%s", out)
			}
		}
		if out, err := c.run("down"); err != nil {
			t.Errorf("down: %v\n%s", err, out)
		}
	})
	return c
}

func stateDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (c *testCluster) command(args ...string) *exec.Cmd {
	return exec.Command(localcluster, append([]string{"--name", c.l.Name, "--state-dir", c.l.Base}, args...)...)
}

func (c *testCluster) run(args ...string) (string, error) {
	out, err := c.command(args...).CombinedOutput()
	return string(out), err
}

// do runs a command that must succeed.
func (c *testCluster) do(args ...string) string {
	c.t.Helper()
	out, err := c.run(args...)
	if err != nil {
		c.t.Fatalf("localcluster %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// up brings the cluster up and returns how long it took.
func (c *testCluster) up() time.Duration {
	c.t.Helper()
	began := time.Now()
	c.do("up", "--timeout", "90s")
	return time.Since(began)
}

func (c *testCluster) api() *kubeapi.Client {
	c.t.Helper()
	r, err := c.l.LoadRecord()
	if err != nil {
		c.t.Fatal(err)
	}
	api, err := kubeapi.New(component.APIURL(r.APIPort), c.l.Path("pki"), component.AdminPair)
	if err != nil {
		c.t.Fatal(err)
	}
	return api
}

func (c *testCluster) apply(path, object string) {
	c.t.Helper()
	// A namespace's default service account comes a moment after the start.
	c.eventually(20*time.Second, "apply "+path, func() error {
		return c.api().Apply(context.Background(), path, []byte(object))
	})
}

func (c *testCluster) eventually(within time.Duration, what string, f func() error) {
	c.t.Helper()
	var err error
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if err = f(); err == nil {
			return
		}
	}
	c.t.Fatalf("%s: not within %s: %v", what, within, err)
}

// processIDs lists the cluster's processes, the supervisor first.
func (c *testCluster) processIDs() []process.ID {
	c.t.Helper()
	r, err := c.l.LoadRecord()
	if err != nil {
		c.t.Fatal(err)
	}
	ids := []process.ID{r.Supervisor}
	for _, pid := range process.InNamespace("net", r.NetNS) {
		if id, err := process.Of(pid); err == nil && pid != r.Supervisor.PID {
			ids = append(ids, id)
		}
	}
	return ids
}

const serverPod = `
apiVersion: v1
kind: Pod
metadata: {name: server, labels: {app: server}}
spec:
  terminationGracePeriodSeconds: 1
  initContainers:
  - {name: sidecar, image: "local/probe:1", args: [sleep], restartPolicy: Always}
  containers:
  - name: server
    image: local/probe:1
    args: [serve]
    readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
    volumeMounts: [{name: token, mountPath: /token}]
  volumes:
  - {name: token, projected: {sources: [{serviceAccountToken: {path: token, audience: somebody, expirationSeconds: 600}}]}}
`

func service(name, family string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: %s}
spec: {selector: {app: server}, ipFamilies: [%s], ports: [{port: 80, targetPort: 8080}]}
`, name, family)
}
