package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ID names one process for ever.
type ID struct {
	// PID is the process id in the namespace of the reader.
	PID int `json:"pid"`
	// StartTicks is field 22 of /proc/PID/stat: clock ticks from boot to start.
	StartTicks uint64 `json:"startTicks"`
	// BootID is /proc/sys/kernel/random/boot_id at the time of recording.
	BootID string `json:"bootID"`
}

// Of reads the identity of the running process pid. The error wraps
// os.ErrNotExist when there is none.
func Of(pid int) (ID, error) {
	ticks, state, err := stat(pid)
	if err != nil {
		return ID{}, err
	}
	if state == "Z" || state == "X" {
		return ID{}, fmt.Errorf("process %d has ended: %w", pid, os.ErrNotExist)
	}
	boot, err := BootID()
	if err != nil {
		return ID{}, err
	}
	return ID{PID: pid, StartTicks: ticks, BootID: boot}, nil
}

// BootID returns the kernel's random id of this boot.
func BootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read the boot id: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// Alive reports whether exactly this process still runs (a zombie does not).
func (id ID) Alive() bool {
	if id.PID <= 0 {
		return false
	}
	now, err := Of(id.PID)
	return err == nil && now == id
}

// Kill sends SIGKILL to the process, if it is still this one, and waits until
// the kernel has taken it down, at most for timeout. A process file descriptor
// taken before the check keeps a reused id from being hit.
func (id ID) Kill(timeout time.Duration) error {
	fd, err := unix.PidfdOpen(id.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open process %d: %w", id.PID, err)
	}
	defer unix.Close(fd)
	if !id.Alive() {
		return nil
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill process %d: %w", id.PID, err)
	}
	deadline := time.Now().Add(timeout)
	for id.Alive() {
		if time.Now().After(deadline) {
			return fmt.Errorf("process %d did not end within %s of SIGKILL", id.PID, timeout)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil
}

// Namespace returns the inode of a namespace file (net, pid, pid_for_children,
// mnt, …) of process pid; it names the namespace as long as that lives.
func Namespace(pid int, kind string) (uint64, error) {
	var st unix.Stat_t
	path := filepath.Join("/proc", strconv.Itoa(pid), "ns", kind)
	if err := unix.Stat(path, &st); err != nil {
		return 0, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return st.Ino, nil
}

// InNamespace lists the ids of all processes whose namespace of this kind has
// this inode, in ascending order.
func InNamespace(kind string, inode uint64) []int {
	return find(func(pid int) bool {
		n, err := Namespace(pid, kind)
		return err == nil && n == inode
	})
}

// WithArgs lists the ids of all processes whose arguments after the program
// are exactly args.
func WithArgs(args ...string) []int {
	want := []byte(strings.Join(args, "\x00") + "\x00")
	return find(func(pid int) bool {
		b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
		if err != nil {
			return false
		}
		_, rest, ok := bytes.Cut(b, []byte{0})
		return ok && bytes.Equal(rest, want)
	})
}

func find(match func(pid int) bool) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && match(pid) {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// stat returns start time and state letter of a process.
func stat(pid int) (ticks uint64, state string, err error) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		if errors.Is(err, unix.ESRCH) { // ended between open and read
			err = fmt.Errorf("process %d: %w", pid, os.ErrNotExist)
		}
		return 0, "", err
	}
	return parseStat(string(b))
}

// parseStat reads /proc/PID/stat. The second field, the name, stands in
// parentheses and may hold spaces and parentheses itself, so fields are counted
// from the last closing one.
func parseStat(line string) (ticks uint64, state string, err error) {
	i := strings.LastIndexByte(line, ')')
	if i < 0 {
		return 0, "", fmt.Errorf("no process name in %q", line)
	}
	fields := strings.Fields(line[i+1:]) // fields[0] is field 3, the state
	const start = 22 - 3
	if len(fields) <= start {
		return 0, "", fmt.Errorf("only %d fields after the name in %q", len(fields), line)
	}
	ticks, err = strconv.ParseUint(fields[start], 10, 64)
	if err != nil {
		return 0, "", fmt.Errorf("start time in %q: %w", line, err)
	}
	return ticks, fields[0], nil
}
