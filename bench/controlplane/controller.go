package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"openservicemesh.io/osm/bench/internal/proc"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
)

// trustDomain is the program's default.
const trustDomain = meshid.TrustDomain("cluster.local")

// controller is the real program in a process of its own.
type controller struct {
	*process
	dir, binary, kubeconfig string
	runs                    int
}

// buildController compiles the program.
func buildController(ctx context.Context, root, dir string) (string, error) {
	file := filepath.Join(dir, "osm-controller")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", file, "./cmd/osm-controller")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./cmd/osm-controller: %w\n%s", err, out)
	}
	return file, nil
}

// start runs it until it is ready, that is has the whole cluster.
func (c *controller) start(ctx context.Context) error {
	var err error
	c.runs++
	c.process, err = startProcess(c.dir, fmt.Sprint("osm-controller-", c.runs), []string{"KUBECONFIG=" + c.kubeconfig}, c.binary,
		"--mesh-name="+meshName, "--osm-namespace="+meshNamespace, "--validator-webhook-config=bench", "--verbosity=warn")
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		if _, err := page(ctx, "/health/ready"); err == nil {
			return nil
		}
	}
	return fmt.Errorf("the controller is not ready; see %s", c.dir)
}

// page reads a page of the controller's HTTP port.
func page(ctx context.Context, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", names.PortControllerHTTP, path), nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, resp.Status)
	}
	return string(body), err
}

// metric reads one sample of the controller's metrics, by its name with labels.
func metric(ctx context.Context, name string) (float64, error) {
	text, err := page(ctx, "/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("the controller has no metric %s", name)
}

// cpu is what it has used so far.
func (c *controller) cpu() time.Duration { return proc.CPU(c.cmd.Process.Pid) }

// memory returns resident memory now and at its highest, in MB.
func (c *controller) memory() (now, peak float64) { return proc.Memory(c.cmd.Process.Pid) }

// roots are the mesh's authority as PEM.
func (w *world) roots(ctx context.Context) (string, error) {
	secret, err := w.kube.CoreV1().Secrets(meshNamespace).Get(ctx, names.CABundleSecret, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	return string(secret.Data["ca.crt"]), nil
}
