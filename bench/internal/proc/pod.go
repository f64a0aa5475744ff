package proc

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// PodGroup finds the control groups of a pod, by its UID: the version 2 hierarchy, or version 1's of CPU and memory.
func PodGroup(uid, controller string) (string, error) {
	for _, root := range []string{"/sys/fs/cgroup/" + controller, "/sys/fs/cgroup"} {
		for _, pattern := range []string{"*/kubepods/pod" + uid, "*/kubepods/*/pod" + uid} {
			if found, _ := filepath.Glob(filepath.Join(root, pattern)); len(found) == 1 {
				return found[0], nil
			}
		}
	}
	return "", fmt.Errorf("no control group of %s for the pod %s", controller, uid)
}

// InPod finds a process of a pod by the name of its program, as far as the kernel keeps it (15 characters).
func InPod(uid, program string) (pid int, err error) {
	dir, err := PodGroup(uid, "cpuacct")
	if err != nil {
		return 0, err
	}
	lists, _ := filepath.Glob(filepath.Join(dir, "*", "cgroup.procs"))
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue // the container has ended
		}
		for _, id := range strings.Fields(string(text)) {
			comm, _ := os.ReadFile(filepath.Join("/proc", id, "comm"))
			if strings.TrimSpace(string(comm)) == program {
				return strconv.Atoi(id)
			}
		}
	}
	return 0, fmt.Errorf("no process %q in the pod %s", program, uid)
}

// userTick is the unit of a start in /proc/PID/stat, the same on every machine Linux runs on today (USER_HZ).
const userTick = 10 * time.Millisecond

// Started is when a process began, to 10 ms (proc_pid_stat(5), field 22).
func Started(pid int) (time.Time, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return time.Time{}, fmt.Errorf("process %d: %w", pid, err)
	}
	const after = 19 // fields behind the program's name, which may hold spaces
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) <= after {
		return time.Time{}, fmt.Errorf("process %d: cannot read %q", pid, text)
	}
	ticks, err := strconv.ParseInt(fields[after], 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("process %d: %w", pid, err)
	}
	var up unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &up); err != nil {
		return time.Time{}, fmt.Errorf("clock since boot: %w", err)
	}
	return time.Now().Add(time.Duration(ticks)*userTick - time.Duration(up.Nano())), nil
}
