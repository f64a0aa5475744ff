package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// load is what `osm-meshtest load` prints.
type load struct {
	Requests int64            `json:"requests"`
	Failed   int64            `json:"failed"`
	Statuses map[string]int64 `json:"statuses"`
	Errors   map[string]int64 `json:"errors"`
}

// startLoad sends requests from the prober beside bookbuyer for a while and returns a function that waits for the end.
func startLoad(t *testing.T, seconds, rate int) func() load {
	t.Helper()
	return startLoadFrom(t, "bookbuyer", "http://bookstore.bookstore:14001/buy-a-book/new", seconds, rate)
}

// startLoadFrom sends them from the pod prober of a namespace.
func startLoadFrom(t *testing.T, namespace, url string, seconds, rate int) func() load {
	t.Helper()
	type result struct {
		out string
		err error
	}
	done := make(chan result, 1)
	go func() {
		out, err := mesh.Output(t.Context(), "kubectl", "exec", "-n", namespace, "prober", "-c", "prober", "--", "osm-meshtest", "load",
			"-url", url, "-duration", fmt.Sprintf("%ds", seconds), "-rate", fmt.Sprint(rate))
		done <- result{out, err}
	}()
	return func() load {
		t.Helper()
		r := <-done
		var l load
		if err := json.Unmarshal([]byte(r.out), &l); err != nil {
			t.Fatalf("load: %v %v\n%s", r.err, err, r.out)
		}
		return l
	}
}

// The controller is killed without warning while requests flow: proxies keep what they have, reconnect, and are sent
// nothing that did not change.
func TestControllerKilledUnderLoad(t *testing.T) {
	walkthroughMesh(t)
	wait := startLoad(t, 20, 200)
	time.Sleep(3 * time.Second)
	kubectl(t, "delete", "pod", "-n", meshNamespace, "-l", "app=osm-controller", "--grace-period=0", "--force")
	l := wait()
	t.Logf("controller killed and restarted: %d requests, %d failed", l.Requests, l.Failed)
	if l.Failed != 0 || l.Requests < 1000 {
		t.Errorf("want every request to succeed: %+v", l)
	}
	kubectl(t, "rollout", "status", "deployment/osm-controller", "-n", meshNamespace, "--timeout=60s")
	eventually(t, 30*time.Second, func() error { return connected(t, 5) })
	nothingResent(t)
}

// nothingResent reads what the new controller has sent: one empty answer each to the two wildcard subscriptions, and of
// endpoints, routes and secrets nothing; certificates only for its own two ports.
func nothingResent(t *testing.T) {
	t.Helper()
	pod := kubectl(t, "get", "pod", "-n", meshNamespace, "-l", "app=osm-controller", "-o", "jsonpath={.items[0].metadata.name}")
	issued, err := metric(t, pod, "osm_cert_issued_count")
	if err != nil || issued > 2 {
		t.Errorf("the new controller issued %v certificates (%v), want its own two alone", issued, err)
	}
	for _, line := range strings.Split(metrics(t, pod), "\n") {
		if !strings.HasPrefix(line, "osm_proxy_response_send_success_count{") {
			continue
		}
		wildcard := strings.Contains(line, "cluster.v3.Cluster\"") || strings.Contains(line, "listener.v3.Listener\"")
		if !wildcard || !strings.HasSuffix(line, " 1") {
			t.Errorf("resent after the restart: %s", line)
		}
	}
}

// With two replicas the proxies of one that dies go to the other.
func TestTwoControllers(t *testing.T) {
	walkthroughMesh(t)
	kubectl(t, "scale", "deployment", "-n", meshNamespace, "osm-controller", "osm-injector", "--replicas=2")
	t.Cleanup(func() {
		_, _ = mesh.Run(context.Background(), "kubectl", "scale", "deployment", "-n", meshNamespace, "osm-controller", "osm-injector", "--replicas=1")
	})
	for _, d := range []string{"osm-controller", "osm-injector"} {
		kubectl(t, "rollout", "status", "deployment/"+d, "-n", meshNamespace, "--timeout=90s")
	}
	pods := strings.Fields(kubectl(t, "get", "pods", "-n", meshNamespace, "-l", "app=osm-controller", "-o", "jsonpath={.items[*].metadata.name}"))
	if len(pods) != 2 {
		t.Fatalf("controllers: %v", pods)
	}
	wait := startLoad(t, 15, 200)
	time.Sleep(2 * time.Second)
	// The older one holds the proxies.
	kubectl(t, "delete", "pod", "-n", meshNamespace, pods[0], "--grace-period=0", "--force")
	kubectl(t, "delete", "pod", "-n", meshNamespace, "--field-selector=status.phase=Running", "-l", "app=osm-injector", "--wait=false")
	if l := wait(); l.Failed != 0 {
		t.Errorf("one of two controllers killed: %+v", l)
	}
	eventually(t, 30*time.Second, func() error { return connected(t, 5) })
	// Pods are injected while one injector goes.
	kubectl(t, "rollout", "restart", "deployment/bookbuyer", "-n", "bookbuyer")
	kubectl(t, "rollout", "status", "deployment/bookbuyer", "-n", "bookbuyer", "--timeout=60s")
}

// connected fails unless the controllers together have at least n proxies.
func connected(t *testing.T, n int) error {
	pods, err := mesh.Output(t.Context(), "kubectl", "get", "pods", "-n", meshNamespace, "-l", "app=osm-controller",
		"--field-selector=status.phase=Running", "-o", "jsonpath={.items[*].metadata.name}")
	if err != nil {
		return err
	}
	sum := 0
	for _, p := range strings.Fields(pods) {
		v, err := metric(t, p, "osm_proxy_connect_count")
		if err != nil {
			return err
		}
		sum += int(v)
	}
	if sum < n {
		return fmt.Errorf("%d proxies connected, want %d", sum, n)
	}
	return nil
}

// metric reads one metric without labels of a control-plane pod.
func metric(t *testing.T, pod, name string) (float64, error) {
	t.Helper()
	for _, line := range strings.Split(metrics(t, pod), "\n") {
		if f := strings.Fields(line); len(f) == 2 && f[0] == name {
			return strconv.ParseFloat(f[1], 64)
		}
	}
	return 0, fmt.Errorf("metric %s is not there", name)
}

func metrics(t *testing.T, pod string) string {
	t.Helper()
	return kubectl(t, "get", "--raw", "/api/v1/namespaces/"+meshNamespace+"/pods/"+pod+":9091/proxy/metrics")
}
