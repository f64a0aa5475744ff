package supervisor

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"openservicemesh.io/osm/localcluster/internal/cluster"
	"openservicemesh.io/osm/localcluster/internal/component"
)

// newRoot is where the private root is put together. /proc is the one folder
// which every machine has and which holds no file that the cluster needs from
// the machine: it gets a /proc of its own.
const newRoot = "/proc"

// private are the folders of the root that the cluster does not share with the
// machine. Components write to hard-wired places in them.
var private = []string{"proc", "run", "var", "tmp", "lost+found"}

// privateRoot gives the mount namespace a root file system in memory that shows
// the machine's folders, except for those where components leave files; these
// are empty or lie in the state folder. Mounts of the machine still arrive here, ours never reach the machine.
func privateRoot(l cluster.Layout) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("part from the machine's mounts: %w", err)
	}
	if err := unix.Mount("localcluster", newRoot, "tmpfs", unix.MS_NOSUID, "mode=755"); err != nil {
		return fmt.Errorf("mount the private root: %w", err)
	}
	if err := showMachine(); err != nil {
		return err
	}
	dirs := []struct {
		path string
		mode os.FileMode
	}{{"proc", 0o555}, {"run", 0o755}, {"run/netns", 0o755}, {"run/lock", 0o755}, {"tmp", 0o1777}, {"var/lib", 0o755},
		{"var/cache", 0o755}, {"var/tmp", 0o1777}, {".old", 0o700}}
	for _, d := range dirs {
		p := filepath.Join(newRoot, d.path)
		if err := os.MkdirAll(p, 0o755); err != nil {
			return fmt.Errorf("build the private root: %w", err)
		}
		if err := unix.Chmod(p, uint32(d.mode.Perm())|uint32(d.mode&0o1000)); err != nil {
			return fmt.Errorf("build the private root: %s: %w", p, err)
		}
	}
	if err := os.Symlink("/run", filepath.Join(newRoot, "var/run")); err != nil {
		return fmt.Errorf("build the private root: %w", err)
	}
	for _, b := range [][2]string{
		{l.Dir(), l.Dir()},
		{l.Path("kubelet"), component.KubeletDir},
		{l.Path("varlog"), "/var/log"},
	} {
		if err := bind(b[0], filepath.Join(newRoot, b[1]), 0); err != nil {
			return err
		}
	}
	if err := unix.Mount("proc", filepath.Join(newRoot, "proc"), "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount the private /proc: %w", err)
	}
	if err := pivot(); err != nil {
		return err
	}
	return shieldSysctls()
}

// showMachine binds every folder of the machine's root that is not private.
func showMachine() error {
	entries, err := os.ReadDir("/")
	if err != nil {
		return fmt.Errorf("read the machine's root: %w", err)
	}
	for _, e := range entries {
		src, dst := filepath.Join("/", e.Name()), filepath.Join(newRoot, e.Name())
		switch {
		case slices.Contains(private, e.Name()):
		case e.Type()&os.ModeSymlink != 0:
			target, err := os.Readlink(src)
			if err == nil {
				err = os.Symlink(target, dst)
			}
			if err != nil {
				return fmt.Errorf("build the private root: %w", err)
			}
		case e.IsDir():
			if err := bind(src, dst, unix.MS_REC); err != nil {
				slog.Warn("a folder of the machine is not shown to the cluster", "folder", src, "error", err)
			}
		}
	}
	return nil
}

func bind(src, dst string, flags uintptr) error {
	if err := os.MkdirAll(dst, 0o755); err != nil {
		return fmt.Errorf("build the private root: %w", err)
	}
	if err := unix.Mount(src, dst, "", unix.MS_BIND|flags, ""); err != nil {
		return fmt.Errorf("show %s as %s: %w", src, dst, err)
	}
	return nil
}

func pivot() error {
	if err := unix.PivotRoot(newRoot, filepath.Join(newRoot, ".old")); err != nil {
		return fmt.Errorf("change to the private root: %w (on a machine that runs from its initial RAM disk this cannot work)", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return fmt.Errorf("change to the private root: %w", err)
	}
	if err := unix.Unmount("/.old", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the machine's root: %w", err)
	}
	if err := os.Remove("/.old"); err != nil {
		return fmt.Errorf("leave the machine's root: %w", err)
	}
	// Shared among ourselves, so that volumes may propagate mounts.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("share the private root's mounts: %w", err)
	}
	return nil
}

// kubeletSysctls are the settings of the whole machine that a kubelet insists
// on and would write if they were different.
var kubeletSysctls = map[string]string{
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/keys/root_maxbytes": "25000000",
}

// shieldSysctls shows the components files with the values that the kubelet
// wants, in place of the kernel's, so that nobody changes the machine.
func shieldSysctls() error {
	for name, value := range kubeletSysctls {
		target := filepath.Join("/proc/sys", name)
		if _, err := os.Stat(target); err != nil {
			continue // this kernel has no such setting
		}
		file := filepath.Join("/run/localcluster-sysctl", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return fmt.Errorf("shield the machine's settings: %w", err)
		}
		if err := os.WriteFile(file, []byte(value+"\n"), 0o644); err != nil {
			return fmt.Errorf("shield the machine's settings: %w", err)
		}
		if err := unix.Mount(file, target, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("shield the machine's setting %s: %w", name, err)
		}
	}
	return nil
}
