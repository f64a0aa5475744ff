package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"openservicemesh.io/osm/bench/internal/oncluster"
	"openservicemesh.io/osm/bench/internal/report"
)

const (
	serverPort = 8080
	loadRate   = 500
	killAfter  = 3 * time.Second
	// Reconvergence is looked for this often.
	lookEvery = 20 * time.Millisecond
)

// killed kills the controller while requests flow.
func (b *bench) killed(ctx context.Context, load time.Duration) error {
	if err := b.service(ctx, inMesh, "server", serverPort); err != nil {
		return err
	}
	for name, args := range map[string][]string{"server": {"echo"}, "client": {"sleep"}} {
		if _, _, err := b.start(ctx, inMesh, pod(name, args...)); err != nil {
			return err
		}
	}
	time.Sleep(time.Second) // the server's address reaches the client
	oncluster.Progress("killing the controller under load")
	type result struct {
		out string
		err error
	}
	ended := make(chan result, 1)
	go func() {
		out, err := b.cluster.Output(ctx, "kubectl", "exec", "-n", inMesh, "client", "-c", "app", "--", "osm-meshtest", "load",
			"-url", fmt.Sprintf("http://server:%d/", serverPort), "-duration", load.String(), "-rate", fmt.Sprint(loadRate))
		ended <- result{out, err}
	}()
	time.Sleep(killAfter)
	took, err := b.replaced(ctx)
	if err != nil {
		return err
	}
	r := <-ended
	var l struct{ Requests, Failed int64 }
	if err := json.Unmarshal([]byte(r.out), &l); err != nil {
		return fmt.Errorf("the load printed no result: %w\n%s", errors.Join(err, r.err), r.out)
	}
	b.table.Add(report.Row{Name: "controller killed under load: failed requests", Figure: float64(l.Failed), Runs: 1, Note: fmt.Sprintf("of %d, %d a second; must be 0", l.Requests, loadRate)})
	b.table.Add(report.Row{Name: "controller killed → another serves all sidecars", Figure: took.Seconds(), Unit: "s", Must: 10, Aim: 2, Runs: 1, Note: "one replica, made anew by Kubernetes"})
	return nil
}

// replaced kills the controller's only pod and returns the time until the next one has all sidecars.
func (b *bench) replaced(ctx context.Context) (time.Duration, error) {
	controllers := b.client.CoreV1().Pods(meshNamespace)
	list, err := controllers.List(ctx, metav1.ListOptions{LabelSelector: "app=osm-controller"})
	if err != nil {
		return 0, fmt.Errorf("list controllers: %w", err)
	}
	if len(list.Items) != 1 {
		return 0, fmt.Errorf("one controller is wanted, there are %d", len(list.Items))
	}
	old := list.Items[0].Name
	before, err := b.connected(ctx, old)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := controllers.Delete(ctx, old, metav1.DeleteOptions{GracePeriodSeconds: new(int64)}); err != nil {
		return 0, fmt.Errorf("kill the controller: %w", err)
	}
	for ; time.Since(began) < startLimit; time.Sleep(lookEvery) {
		list, err := controllers.List(ctx, metav1.ListOptions{LabelSelector: "app=osm-controller"})
		if err != nil {
			return 0, fmt.Errorf("list controllers: %w", err)
		}
		for _, p := range list.Items {
			if n, err := b.connected(ctx, p.Name); p.Name != old && err == nil && n == before {
				return time.Since(began), nil
			}
		}
	}
	return 0, fmt.Errorf("no controller had %s sidecars again within %s", before, startLimit)
}

// connected asks a controller how many sidecars it serves.
func (b *bench) connected(ctx context.Context, controller string) (string, error) {
	const name = "osm_proxy_connect_count "
	text, err := b.client.CoreV1().Pods(meshNamespace).ProxyGet("http", controller, "9091", "metrics", nil).DoRaw(ctx)
	if err != nil {
		return "", fmt.Errorf("metrics of %s: %w", controller, err)
	}
	for line := range strings.Lines(string(text)) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), name); ok {
			return n, nil
		}
	}
	return "", fmt.Errorf("metrics of %s have no %s", controller, name)
}
