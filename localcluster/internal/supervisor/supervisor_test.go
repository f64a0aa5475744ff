package supervisor

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"openservicemesh.io/osm/localcluster/internal/cluster"
	"openservicemesh.io/osm/localcluster/internal/component"
)

func testManager(t *testing.T, argv ...string) (*manager, *child) {
	t.Helper()
	dir, err := os.MkdirTemp("", "lc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := cluster.NewLayout("s", dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.MakeDirs(); err != nil {
		t.Fatal(err)
	}
	m := newManager(l, []component.Component{{Name: "c", Argv: argv, Gate: component.EtcdReady}}, nil)
	return m, m.children[0]
}

// reapUntil collects until the component has ended n times.
func reapUntil(t *testing.T, m *manager, c *child, n int) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); c.restarts < n; {
		m.reap()
		if time.Now().After(deadline) {
			t.Fatalf("ended %d times, want %d", c.restarts, n)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestComponentWaitsForItsGateAndComesBack(t *testing.T) {
	m, c := testManager(t, "/bin/sh", "-c", "echo hello; exit 3")
	now := time.Now()
	if m.startDue(now) {
		t.Fatal("started before its gate was open")
	}
	m.open = component.EtcdReady
	if !m.startDue(now) || c.pid == 0 {
		t.Fatal("not started with its gate open")
	}
	reapUntil(t, m, c, 1)
	if c.lastExit != "exit status 3" || c.pid != 0 {
		t.Errorf("ended with %q, pid %d", c.lastExit, c.pid)
	}
	if m.startDue(time.Now()) {
		t.Error("started again at once")
	}
	if !m.startDue(time.Now().Add(firstDelay)) {
		t.Error("not started again")
	}
	reapUntil(t, m, c, 2)
	log, err := os.ReadFile(m.layout.Log("c"))
	if err != nil || string(log) != "hello\nhello\n" {
		t.Errorf("log %q, %v", log, err)
	}
}

func TestDelayGrowsAndStartsOver(t *testing.T) {
	m, c := testManager(t)
	now := time.Now()
	c.started = now
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 32} {
		m.ended(c, now, "x")
		if got := c.next.Sub(now); got != want*firstDelay {
			t.Errorf("delay %s, want %s", got, want*firstDelay)
		}
	}
	c.started = now.Add(-goodRun - time.Second)
	m.ended(c, now, "x")
	if got := c.next.Sub(now); got != firstDelay {
		t.Errorf("after a good run the delay is %s", got)
	}
}

func TestMissingProgramIsToldAndTriedAgain(t *testing.T) {
	m, c := testManager(t, "/no/such/program")
	m.open = component.EtcdReady
	if !m.startDue(time.Now()) || c.pid != 0 || !strings.Contains(c.lastExit, "no such file") {
		t.Errorf("pid %d, %q", c.pid, c.lastExit)
	}
	m.writeStatus()
	s, err := ReadStatus(m.layout)
	if err != nil || len(s.Components) != 1 || s.Components[0].Running || s.Components[0].Restarts != 1 {
		t.Errorf("status %+v, %v", s, err)
	}
}

func TestDescribe(t *testing.T) {
	if got := describe(syscall.WaitStatus(9)); !strings.Contains(got, "signal 9") {
		t.Errorf("got %q", got)
	}
	if got := describe(syscall.WaitStatus(1 << 8)); got != "exit status 1" {
		t.Errorf("got %q", got)
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestForwardKeepsHalfClosedConnections(t *testing.T) {
	target, front := listen(t), listen(t)
	go func() {
		for {
			c, err := target.Accept()
			if err != nil {
				return
			}
			b, _ := io.ReadAll(c) // until the client has closed its half
			_, _ = c.Write([]byte("got " + string(b)))
			c.Close()
		}
	}()
	go forward(front, target.Addr().String())
	c, err := net.Dial("tcp", front.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("this")); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if b, err := io.ReadAll(c); err != nil || string(b) != "got this" {
		t.Errorf("got %q, %v", b, err)
	}
}

func TestForwardClosesWhenNobodyAnswers(t *testing.T) {
	target, front := listen(t), listen(t)
	addr := target.Addr().String()
	target.Close()
	go forward(front, addr)
	c, err := net.Dial("tcp", front.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if b, err := io.ReadAll(c); len(b) > 0 || os.IsTimeout(err) {
		t.Errorf("got %q, %v", b, err)
	}
}

func TestRunRefusesToBeStartedByHand(t *testing.T) {
	l, err := cluster.NewLayout("s", filepath.Join(os.TempDir(), "lc-none"))
	if err != nil {
		t.Fatal(err)
	}
	if err := Run(l); err == nil || !strings.Contains(err.Error(), "localcluster up") {
		t.Errorf("got %v", err)
	}
}
