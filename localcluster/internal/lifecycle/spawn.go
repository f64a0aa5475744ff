package lifecycle

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"openservicemesh.io/osm/localcluster/internal/cluster"
	"openservicemesh.io/osm/localcluster/internal/component"
	"openservicemesh.io/osm/localcluster/internal/process"
	"openservicemesh.io/osm/localcluster/internal/supervisor"
)

// Ports that are tried for the API server on the machine's loopback.
const (
	firstPort = 6443
	lastPort  = 6543
)

// listen takes the wanted port, or the last one, or the first free one.
func listen(wanted, last int) (*net.TCPListener, int, error) {
	try := func(port int) (*net.TCPListener, error) {
		l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			return nil, err
		}
		return l.(*net.TCPListener), nil
	}
	if wanted != 0 {
		l, err := try(wanted)
		if err != nil {
			return nil, 0, fmt.Errorf("port %d of 127.0.0.1 cannot be used for the API server: %w; choose another one with --api-port, or none for a free one", wanted, err)
		}
		return l, wanted, nil
	}
	ports := []int{}
	if last != 0 {
		ports = append(ports, last)
	}
	for p := firstPort; p <= lastPort; p++ {
		ports = append(ports, p)
	}
	var err error
	for _, p := range ports {
		var l *net.TCPListener
		if l, err = try(p); err == nil {
			return l, p, nil
		}
	}
	return nil, 0, fmt.Errorf("no port from %d to %d is free on 127.0.0.1 for the API server: %w; name one with --api-port", firstPort, lastPort, err)
}

// stage puts a program into the state folder, as a link where that is possible.
func stage(from, to string) error {
	a, err := os.Stat(from)
	if err != nil {
		return fmt.Errorf("find the built program: %w", err)
	}
	if b, err := os.Stat(to); err == nil && os.SameFile(a, b) {
		return nil
	}
	tmp := to + ".new"
	_ = os.Remove(tmp)
	if os.Link(from, tmp) != nil {
		if err := copyFile(from, tmp); err != nil {
			return fmt.Errorf("copy %s into the state folder: %w", filepath.Base(from), err)
		}
	}
	return os.Rename(tmp, to)
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// rotateLogs keeps the logs of the last start as NAME.log.1.
func rotateLogs(l cluster.Layout) error {
	for _, n := range component.Names() {
		if err := os.Rename(l.Log(n), l.Log(n)+".1"); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("put the last log of %s aside: %w", n, err)
		}
	}
	return nil
}

// spawn starts the supervisor in namespaces of its own, records it, and only
// then lets it go on: a crash of this program at any point leaves either no
// supervisor or a recorded one.
func spawn(l cluster.Layout, s component.Settings, build string, listener *net.TCPListener) error {
	if err := cluster.WriteJSON(supervisor.SettingsPath(l), s); err != nil {
		return err
	}
	socket, err := listener.File()
	if err != nil {
		return fmt.Errorf("hand on the API port: %w", err)
	}
	defer socket.Close()
	goRead, goWrite, err := os.Pipe()
	if err != nil {
		return err
	}
	defer goRead.Close()
	defer goWrite.Close()
	log, err := os.OpenFile(l.Log(component.Supervisor), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the supervisor's log: %w", err)
	}
	defer log.Close()
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.Command(exe, l.SupervisorArgs()...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = l.Dir(), log, log
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}
	cmd.ExtraFiles = []*os.File{socket, goRead}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: supervisor.CloneFlags}
	if err := cmd.Start(); err != nil {
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EPERM) {
			return fmt.Errorf("the kernel refuses new namespaces: %w; it needs CONFIG_NAMESPACES with PID_NS, NET_NS and UTS_NS, "+
				"CAP_SYS_ADMIN, and room in /proc/sys/user/max_*_namespaces", err)
		}
		return fmt.Errorf("start the supervisor: %w", err)
	}
	// Collect it should it end while this program waits for the cluster.
	go func() { _ = cmd.Wait() }()
	if err := recordSupervisor(l, cmd.Process.Pid, s.APIPort, build); err != nil {
		_ = cmd.Process.Kill()
		return err
	}
	if _, err := goWrite.Write([]byte{1}); err != nil {
		return fmt.Errorf("start the supervisor: it ended at once; see %s", l.Log(component.Supervisor))
	}
	return nil
}

func recordSupervisor(l cluster.Layout, pid, port int, build string) error {
	id, err := process.Of(pid)
	if err != nil {
		return fmt.Errorf("the supervisor ended at once; see %s: %w", l.Log(component.Supervisor), err)
	}
	netns, err1 := process.Namespace(pid, "net")
	pidns, err2 := process.Namespace(pid, "pid")
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("record the supervisor: %w", err)
	}
	return l.SaveRecord(cluster.Record{Name: l.Name, Supervisor: id, NetNS: netns, PIDNS: pidns, APIPort: port, Build: build, Started: time.Now().UTC()})
}
