package lifecycle

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"openservicemesh.io/osm/localcluster/internal/cgroup"
	"openservicemesh.io/osm/localcluster/internal/cluster"
	"openservicemesh.io/osm/localcluster/internal/preflight"
	"openservicemesh.io/osm/localcluster/internal/process"
)

// Down removes a cluster with everything that it made, from whatever state it
// is in. Without a cluster it does nothing.
func Down(l cluster.Layout, say Reporter) error {
	if err := preflight.Root("down"); err != nil {
		return err
	}
	_, err := os.Stat(l.Dir())
	_, running := l.FindSupervisor()
	if errors.Is(err, os.ErrNotExist) && !running {
		say("there is no cluster %q in %s", l.Name, l.Base)
		return cgroup.Remove(l.CgroupName(), time.Second)
	}
	unlock, err := l.Lock(func() { say("waiting for another command that works on cluster %q", l.Name) })
	if err != nil {
		return err
	}
	defer unlock()
	if err := stopSupervisor(l, say); err != nil {
		return err
	}
	if err := unmountUnder(l.Dir()); err != nil {
		return err
	}
	if err := cgroup.Remove(l.CgroupName(), 20*time.Second); err != nil {
		return err
	}
	if err := os.RemoveAll(l.Dir()); err != nil {
		return fmt.Errorf("remove the state folder: %w", err)
	}
	if err := os.Remove(l.LockPath()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the lock file: %w", err)
	}
	if l.Base == filepath.Clean(cluster.DefaultStateDir) {
		_ = os.Remove(l.Base) // goes only when it is empty
	}
	say("cluster %q is gone", l.Name)
	return nil
}

// stopSupervisor ends process 1 of the cluster; the kernel ends the rest before
// that process counts as ended.
func stopSupervisor(l cluster.Layout, say Reporter) error {
	for {
		id, ok := l.FindSupervisor()
		if !ok {
			return nil
		}
		if guests := guests(id.PID); len(guests) > 0 {
			say("processes %v were started with `exec` and stay, without a network", guests)
		}
		say("stopping all processes of cluster %q", l.Name)
		if err := id.Kill(30 * time.Second); err != nil {
			return err
		}
	}
}

// guests lists processes that are in the cluster's network but not of it.
func guests(supervisor int) []int {
	netns, err1 := process.Namespace(supervisor, "net")
	pidns, err2 := process.Namespace(supervisor, "pid")
	if err1 != nil || err2 != nil {
		return nil
	}
	var out []int
	for _, pid := range process.InNamespace("net", netns) {
		if n, err := process.Namespace(pid, "pid"); err == nil && n != pidns {
			out = append(out, pid)
		}
	}
	return out
}

// unmountUnder takes away mounts below the cluster's folder that reached the
// machine. The supervisor makes none there; this is for a state folder that
// somebody else's tools have mounted into.
func unmountUnder(dir string) error {
	mounts, err := cluster.MountsUnder(dir)
	if err != nil {
		return err
	}
	for _, m := range mounts {
		if m == dir {
			continue // a file system of the user's own for the state
		}
		if err := unix.Unmount(m, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("unmount %s: %w", m, err)
		}
	}
	return nil
}
