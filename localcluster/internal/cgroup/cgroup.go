package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// control is the child group of the control plane's own processes.
const control = "control"

// Roots returns the mount points of all cgroup hierarchies.
func Roots() ([]string, error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("read the mount table: %w", err)
	}
	roots := parseRoots(string(b))
	if len(roots) == 0 {
		return nil, errors.New("no cgroup hierarchy is mounted, but Kubernetes needs one; " +
			"mount it (`mount -t cgroup2 none /sys/fs/cgroup`) or boot with systemd")
	}
	return roots, nil
}

func parseRoots(mountinfo string) []string {
	var roots []string
	for line := range strings.Lines(mountinfo) {
		before, after, ok := strings.Cut(line, " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !ok || len(left) < 5 || len(right) < 1 || (right[0] != "cgroup" && right[0] != "cgroup2") {
			continue
		}
		if left[3] != "/" { // a bind mount of a part of a hierarchy
			continue
		}
		if !slices.Contains(roots, left[4]) {
			roots = append(roots, left[4])
		}
	}
	return roots
}

// Create makes the group in every hierarchy and moves the calling process into
// its child "control". Moving is best effort: it only keeps the control plane
// apart from the session that started it.
func Create(name string) error {
	roots, err := Roots()
	if err != nil {
		return err
	}
	for _, root := range roots {
		dir := filepath.Join(root, name)
		for _, d := range []string{dir, filepath.Join(dir, control)} {
			if err := os.MkdirAll(d, 0o755); err != nil {
				return fmt.Errorf("make control group %s: %w", d, err)
			}
			inheritCPUSet(d)
		}
		if err := enableControllers(root, dir); err != nil {
			return err
		}
		_ = os.WriteFile(filepath.Join(dir, control, "cgroup.procs"), []byte("0"), 0) // 0: the writer itself
	}
	return nil
}

// kubeletControllers are those that a kubelet insists on having in its root
// group on cgroup v2, as far as the kernel has them.
var kubeletControllers = []string{"cpu", "cpuset", "hugetlb", "memory", "pids"}

// enableControllers hands the controllers of a v2 hierarchy down to the group
// dir. In the root this adds to what other groups may use and is not taken back:
// somebody else may have come to rely on it.
func enableControllers(root, dir string) error {
	for _, c := range missing(root, dir) {
		file := filepath.Join(root, "cgroup.subtree_control")
		if err := os.WriteFile(file, []byte("+"+c), 0); err != nil {
			return fmt.Errorf("hand control group controller %q down to %s: %w; enable it with `echo +%s > %s` in the machine's root group",
				c, dir, err, c, file)
		}
	}
	return nil
}

// missing lists the controllers that root has, dir has not, and a kubelet needs.
func missing(root, dir string) (out []string) {
	read := func(d string) []string {
		b, err := os.ReadFile(filepath.Join(d, "cgroup.controllers"))
		if err != nil {
			return nil // cgroup v1
		}
		return strings.Fields(string(b))
	}
	has := read(dir)
	for _, c := range read(root) {
		if slices.Contains(kubeletControllers, c) && !slices.Contains(has, c) {
			out = append(out, c)
		}
	}
	return out
}

// inheritCPUSet fills the two files of a v1 cpuset group that are born empty
// and must not be, before a process may enter.
func inheritCPUSet(dir string) {
	for _, f := range []string{"cpuset.cpus", "cpuset.mems"} {
		b, err := os.ReadFile(filepath.Join(dir, f))
		if err != nil || strings.TrimSpace(string(b)) != "" {
			continue
		}
		if b, err = os.ReadFile(filepath.Join(filepath.Dir(dir), f)); err == nil && strings.TrimSpace(string(b)) != "" {
			_ = os.WriteFile(filepath.Join(dir, f), b, 0)
		}
	}
}

// Remove removes the group with all groups below it in every hierarchy. The
// kernel refuses while processes are inside; those of a killed cluster may
// need a moment to leave, for which Remove waits up to timeout.
func Remove(name string, timeout time.Duration) error {
	roots, err := Roots()
	if err != nil {
		return nil //nolint:nilerr // no hierarchy, no group
	}
	deadline := time.Now().Add(timeout)
	for _, root := range roots {
		dir := filepath.Join(root, name)
		for {
			err := removeTree(dir)
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("remove control group %s: %w", dir, err)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	return nil
}

// removeTree removes a group bottom up; a group's files vanish with it, so only
// folders count.
func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
