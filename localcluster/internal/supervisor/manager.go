package supervisor

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"openservicemesh.io/osm/localcluster/internal/cluster"
	"openservicemesh.io/osm/localcluster/internal/component"
	"openservicemesh.io/osm/localcluster/internal/kubeapi"
)

// Restarting waits longer each time, and starts over after a good run.
const (
	firstDelay = 250 * time.Millisecond
	lastDelay  = 8 * time.Second
	goodRun    = 30 * time.Second
)

// child is one component and what became of it.
type child struct {
	component.Component
	pid      int // 0 while it does not run
	started  time.Time
	next     time.Time // not before
	delay    time.Duration
	restarts int
	lastExit string
}

// manager starts and restarts the components. Only loop's goroutine touches its
// fields: whoever starts a process must also be the one who collects it, because
// process 1 collects orphans with the same call.
type manager struct {
	layout   cluster.Layout
	children []*child
	api      *kubeapi.Client
	open     component.Gate
}

func newManager(l cluster.Layout, cs []component.Component, api *kubeapi.Client) *manager {
	m := &manager{layout: l, api: api}
	for _, c := range cs {
		m.children = append(m.children, &child{Component: c, delay: firstDelay})
	}
	return m
}

// loop runs until a signal to stop arrives.
func (m *manager) loop(stop <-chan os.Signal) error {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	gates := make(chan component.Gate)
	go m.watchGates(gates)
	tick := time.NewTicker(firstDelay)
	defer tick.Stop()
	for {
		if m.startDue(time.Now()) {
			m.writeStatus()
		}
		select {
		case <-ended:
			if m.reap() {
				m.writeStatus()
			}
		case m.open = <-gates:
			slog.Info("gate open", "gate", m.open.String())
		case <-tick.C:
		case s := <-stop:
			slog.Info("stopping; the kernel ends all processes of the cluster", "signal", s.String())
			return nil
		}
	}
}

// watchGates opens one gate after the other. They stay open: a component that is
// started again copes with others that are away.
func (m *manager) watchGates(opened chan<- component.Gate) {
	checks := map[component.Gate]func() error{
		component.EtcdReady:       func() error { return dial("tcp", component.EtcdAddr) },
		component.ContainerdReady: func() error { return dial("unix", m.layout.ContainerdSocket()) },
		component.APIReady: func() error {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			return m.api.Ready(ctx)
		},
	}
	for _, g := range []component.Gate{component.EtcdReady, component.ContainerdReady, component.APIReady} {
		for checks[g]() != nil {
			time.Sleep(50 * time.Millisecond)
		}
		opened <- g
	}
}

func dial(network, addr string) error {
	c, err := net.DialTimeout(network, addr, time.Second)
	if err != nil {
		return err
	}
	return c.Close()
}

// startDue starts what may run and does not.
func (m *manager) startDue(now time.Time) (changed bool) {
	for _, c := range m.children {
		if c.pid != 0 || c.Gate > m.open || now.Before(c.next) {
			continue
		}
		changed = true
		pid, err := start(c.Argv, m.layout.Log(c.Name), m.layout.Dir())
		if err != nil {
			slog.Error("start", "component", c.Name, "error", err)
			m.ended(c, now, err.Error())
			continue
		}
		slog.Info("started", "component", c.Name, "pid", pid)
		c.pid, c.started = pid, now
	}
	return changed
}

// reap collects every process that has ended, components and orphans.
func (m *manager) reap() (changed bool) {
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return changed
		}
		for _, c := range m.children {
			if c.pid == pid {
				c.pid = 0
				m.ended(c, time.Now(), describe(ws))
				slog.Warn("ended", "component", c.Name, "how", c.lastExit)
				changed = true
			}
		}
	}
}

// ended plans the next start.
func (m *manager) ended(c *child, now time.Time, how string) {
	if !c.started.IsZero() && now.Sub(c.started) > goodRun {
		c.delay = firstDelay
	}
	c.lastExit, c.restarts = how, c.restarts+1
	c.next = now.Add(c.delay)
	c.delay = min(2*c.delay, lastDelay)
}

func describe(ws syscall.WaitStatus) string {
	if ws.Signaled() {
		return fmt.Sprintf("killed by signal %d (%s)", ws.Signal(), ws.Signal())
	}
	return fmt.Sprintf("exit status %d", ws.ExitStatus())
}

// start runs argv with its output appended to the file log.
func start(argv []string, log, dir string) (int, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer out.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	return syscall.ForkExec(argv[0], argv, &syscall.ProcAttr{
		Dir:   dir,
		Env:   []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"},
		Files: []uintptr{null.Fd(), out.Fd(), out.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
}

func (m *manager) writeStatus() {
	s := Status{}
	for _, c := range m.children {
		s.Components = append(s.Components, ComponentStatus{Name: c.Name, Running: c.pid != 0, Restarts: c.restarts, LastExit: c.lastExit})
	}
	if err := cluster.WriteJSON(m.layout.StatusPath(), s); err != nil {
		slog.Warn("write the status", "error", err)
	}
}
