//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"openservicemesh.io/osm/localcluster/internal/preflight"
	"openservicemesh.io/osm/localcluster/internal/process"
)

// upBar is how long `up` may take from built binaries on two idle cores. A machine that others use too may take longer:
// the figure is printed, and only OSM_BARS=strict, or a time that no busy machine explains, fails.
const upBar = 25 * time.Second

func upLimit() time.Duration {
	if os.Getenv("OSM_BARS") == "strict" {
		return upBar
	}
	return 4 * upBar
}

func rounds(t *testing.T) int {
	v := os.Getenv("E2E_ROUNDS")
	if v == "" {
		return 10
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		t.Fatalf("E2E_ROUNDS=%q: want a number of at least 1", v)
	}
	return n
}

func TestUpDownLeavesNothing(t *testing.T) {
	base := stateDir(t)
	// Programs that are missing are installed by the first `up` and stay.
	first := newCluster(t, "lc-e2e", base)
	first.up()
	first.do("down")
	before := takeSnapshot(t)
	for i := range rounds(t) {
		c := newCluster(t, "lc-e2e", base)
		up := c.up()
		began := time.Now()
		c.do("down")
		t.Logf("round %d: up %.1fs (bar %s), down %.1fs", i+1, up.Seconds(), upBar, time.Since(began).Seconds())
		if up > upLimit() {
			t.Errorf("up took %s, more than %s", up, upLimit())
		}
		requireSame(t, before)
		if left, err := os.ReadDir(base); err != nil || len(left) > 0 {
			t.Fatalf("the state folder holds %v, %v", left, err)
		}
	}
}

func TestWorkloads(t *testing.T) {
	c := newCluster(t, "lc-e2e-work", stateDir(t))
	c.up()
	if out := c.do("up"); !strings.Contains(out, "is running") {
		t.Errorf("the second up says:\n%s", out)
	}
	if out := c.do("load", probeTar); !strings.Contains(out, "local/probe:1") {
		t.Errorf("load says:\n%s", out)
	}
	c.apply("/api/v1/namespaces/default/services/server", service("server", "IPv4"))
	urls := []string{"http://server.default.svc.cluster.local/"}
	if preflight.IPv6() {
		c.apply("/api/v1/namespaces/default/services/server6", service("server6", "IPv6"))
		urls = append(urls, "http://server6.default.svc.cluster.local/")
	}
	c.apply("/api/v1/namespaces/default/pods/server", serverPod)
	for _, url := range urls {
		c.eventually(30*time.Second, url, func() error { return c.getFromNode(url) })
	}
	if out, err := c.run("exec", "--", "sh", "-c", "ip -o addr show; echo $KUBECONFIG"); err != nil || !strings.Contains(out, "10.77.0.1") || !strings.Contains(out, c.l.Kubeconfig()) {
		t.Errorf("exec: %v\n%s", err, out)
	}
	if out, err := c.run("exec", "--", "sh", "-c", "exit 7"); err == nil || !strings.Contains(err.Error(), "7") {
		t.Errorf("exec loses the exit status: %v\n%s", err, out)
	}
	for _, name := range []string{"etcd", "kubelet", "coredns"} {
		c.do("logs", name, "--tail", "3")
	}
	if out := c.do("status"); !strings.Contains(out, "CoreDNS                  Ready") {
		t.Errorf("status:\n%s", out)
	}
}

// getFromNode asks for url from the cluster's network, resolving the name by
// the cluster's DNS.
func (c *testCluster) getFromNode(url string) error {
	host := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/")
	addr, err := lookup(c, host)
	if err != nil {
		return err
	}
	if strings.Contains(addr, ":") {
		addr = "[" + addr + "]"
	}
	out, err := c.run("exec", "--", probe, "get", "http://"+addr+"/")
	if err != nil || out != "hello from server\n" {
		return fmt.Errorf("%v: %q", err, out)
	}
	return nil
}

func TestKilledUpLeavesNothing(t *testing.T) {
	base := stateDir(t)
	before := takeSnapshot(t)
	for _, after := range []time.Duration{0, 50, 100, 150, 200, 300, 500, 1000, 2000, 4000, 8000} {
		after *= time.Millisecond
		c := newCluster(t, "lc-e2e-killed", base)
		up := c.command("up")
		if err := up.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(after)
		if err := up.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		_ = up.Wait()
		c.do("down")
		requireSame(t, before)
		if left, err := os.ReadDir(base); err != nil || len(left) > 0 {
			t.Fatalf("up killed after %s: the state folder holds %v, %v", after, left, err)
		}
	}
}

func TestKilledUpGoesOn(t *testing.T) {
	for _, after := range []time.Duration{100 * time.Millisecond, 3 * time.Second} {
		c := newCluster(t, "lc-e2e-goon", stateDir(t))
		up := c.command("up")
		if err := up.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(after)
		_ = up.Process.Kill()
		_ = up.Wait()
		t.Logf("up killed after %s; the next one takes %s", after, c.up().Round(time.Millisecond))
		c.do("status")
		c.do("down")
	}
}

// TestEverythingKilledHeals is a power cut, as far as a test can make one.
func TestEverythingKilledHeals(t *testing.T) {
	c := newCluster(t, "lc-e2e-heal", stateDir(t))
	before := takeSnapshot(t)
	c.up()
	c.do("load", probeTar)
	c.apply("/api/v1/namespaces/default/services/server", service("server", "IPv4"))
	c.apply("/api/v1/namespaces/default/pods/server", serverPod)
	const url = "http://server.default.svc.cluster.local/"
	c.eventually(30*time.Second, url, func() error { return c.getFromNode(url) })
	ids := c.processIDs()
	if len(ids) < 9 {
		t.Fatalf("found only %d processes", len(ids))
	}
	for i := len(ids) - 1; i >= 0; i-- { // the supervisor last, which would start them again
		if err := ids[i].Kill(5 * time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := c.run("status"); err == nil || !strings.Contains(out, "localcluster up") {
		t.Errorf("status of a dead cluster: %v\n%s", err, out)
	}
	t.Logf("killed %d processes; up heals in %s", len(ids), c.up().Round(time.Millisecond))
	c.eventually(30*time.Second, "the pod from before runs again", func() error { return c.getFromNode(url) })
	c.do("down")
	requireSame(t, before)
}

func TestKilledComponentsComeBack(t *testing.T) {
	c := newCluster(t, "lc-e2e-comp", stateDir(t))
	c.up()
	ids := c.processIDs()
	for _, id := range ids[1:] {
		if err := id.Kill(5 * time.Second); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d processes killed; ready again after %s", len(ids)-1, c.up().Round(time.Millisecond))
	c.eventually(20*time.Second, "status", func() error {
		out, err := c.run("status")
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	if now := c.processIDs(); now[0] != ids[0] {
		t.Errorf("the supervisor was %v and is %v", ids[0], now[0])
	}
}

func TestSideBySide(t *testing.T) {
	base := stateDir(t)
	before := takeSnapshot(t)
	a, b := newCluster(t, "lc-e2e-a", base), newCluster(t, "lc-e2e-b", base)
	a.up()
	b.up()
	a.apply("/api/v1/namespaces/only-in-a", "apiVersion: v1\nkind: Namespace\nmetadata: {name: only-in-a}\n")
	if _, err := b.api().Pods(t.Context(), "kube-system"); err != nil {
		t.Fatal(err)
	}
	if out := b.do("exec", "--", "hostname"); strings.Contains(out, "lc-e2e") {
		t.Errorf("exec changes the host name: %s", out)
	}
	ra, err1 := a.l.LoadRecord()
	rb, err2 := b.l.LoadRecord()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if ra.APIPort == rb.APIPort || ra.NetNS == rb.NetNS || ra.PIDNS == rb.PIDNS {
		t.Errorf("shared: %+v and %+v", ra, rb)
	}
	a.do("down")
	b.do("status")
	if got := process.InNamespace("net", ra.NetNS); len(got) > 0 {
		t.Errorf("processes %v are left of a", got)
	}
	b.do("down")
	requireSame(t, before)
}

func TestDownSparesWhatExecStarted(t *testing.T) {
	c := newCluster(t, "lc-e2e-exec", stateDir(t))
	c.up()
	guest := c.command("exec", "--", "sleep", "600")
	if err := guest.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = guest.Process.Kill(); _ = guest.Wait() }()
	c.eventually(5*time.Second, "the guest is in the network", func() error {
		r, err := c.l.LoadRecord()
		if err != nil {
			return err
		}
		if n, err := process.Namespace(guest.Process.Pid, "net"); err != nil || n != r.NetNS {
			return fmt.Errorf("in %d, %v", n, err)
		}
		return nil
	})
	if out := c.do("down"); !strings.Contains(out, strconv.Itoa(guest.Process.Pid)) {
		t.Errorf("down does not name the guest:\n%s", out)
	}
	if _, err := process.Of(guest.Process.Pid); err != nil {
		t.Errorf("down ended what it did not start: %v", err)
	}
}

func TestErrorsNameTheCure(t *testing.T) {
	c := newCluster(t, "lc-e2e-err", stateDir(t))
	c.up()
	r, err := c.l.LoadRecord()
	if err != nil {
		t.Fatal(err)
	}
	other := newCluster(t, "lc-e2e-err2", c.l.Base)
	if out, err := other.run("up", "--api-port", strconv.Itoa(r.APIPort)); err == nil || !strings.Contains(out, "--api-port") {
		t.Errorf("a busy port: %v\n%s", err, out)
	}
	if out, err := c.run("up", "--api-port", "7999"); err == nil || !strings.Contains(out, "localcluster down") {
		t.Errorf("another port for a running cluster: %v\n%s", err, out)
	}
	if out, err := c.run("load", "/no/such.tar"); err == nil || !strings.Contains(out, "/no/such.tar") {
		t.Errorf("no tar: %v\n%s", err, out)
	}
	if out, err := c.run("load", "/etc/hostname"); err == nil || !strings.Contains(out, "/etc/hostname") {
		t.Errorf("not a tar: %v\n%s", err, out)
	}
}
