package lifecycle

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"openservicemesh.io/osm/localcluster/internal/cluster"
	"openservicemesh.io/osm/localcluster/internal/preflight"
)

// inNetwork calls f on a thread that is in the network namespace of process pid
// and comes back. f must not start goroutines that open sockets.
func inNetwork(pid int, f func() error) error {
	runtime.LockOSThread()
	own, err := os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer own.Close()
	if err := enter(pid); err != nil {
		runtime.UnlockOSThread()
		return err
	}
	ferr := f()
	if err := unix.Setns(int(own.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("come back from the cluster's network: %w", err) // the thread stays locked and dies with its goroutine
	}
	runtime.UnlockOSThread()
	return ferr
}

// enter moves the calling thread into the network namespace of process pid.
func enter(pid int) error {
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return fmt.Errorf("find the cluster's network: %w", err)
	}
	defer ns.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the cluster's network: %w", err)
	}
	return nil
}

// Exec replaces this process by argv, run in the cluster's network with
// KUBECONFIG set. It returns on error only.
func Exec(l cluster.Layout, argv []string) error {
	if err := preflight.Root("exec"); err != nil {
		return err
	}
	id, ok := l.FindSupervisor()
	if !ok {
		return notRunning(l)
	}
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return fmt.Errorf("command %q: %w", argv[0], err)
	}
	if err := os.Setenv("KUBECONFIG", l.Kubeconfig()); err != nil {
		return err
	}
	// The new program keeps the namespaces of the thread that calls exec.
	runtime.LockOSThread()
	if err := enter(id.PID); err != nil {
		return err
	}
	return fmt.Errorf("run %s: %w", path, syscall.Exec(path, argv, os.Environ()))
}

func notRunning(l cluster.Layout) error {
	return fmt.Errorf("cluster %q is not running; start it with `localcluster up --name %s`", l.Name, l.Name)
}
