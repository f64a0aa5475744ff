// Package proc reads what the kernel knows of a process's processor time and memory. Input: a process's number. Output:
// durations, and megabytes of 2^20 bytes. What cannot be read, because the process has ended, is zero.
package proc

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// CPU is what all threads of a process that are alive have used so far, to the nanosecond.
func CPU(pid int) time.Duration {
	var sum time.Duration
	stats, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, file := range stats {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		run, _, _ := strings.Cut(string(text), " ")
		ns, _ := strconv.ParseInt(run, 10, 64)
		sum += time.Duration(ns)
	}
	return sum
}

// Memory is a process's resident memory now, and at its highest since it began or since Forget.
func Memory(pid int) (now, peak float64) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range bytes.Lines(text) {
		fields := strings.Fields(string(line))
		if len(fields) < 2 {
			continue
		}
		kb, _ := strconv.ParseFloat(fields[1], 64)
		switch fields[0] {
		case "VmRSS:":
			now = kb / 1024
		case "VmHWM:":
			peak = kb / 1024
		}
	}
	return now, peak
}

// Forget has the highest of resident memory begin anew.
func Forget(pid int) {
	// 5 is "the peak" (proc_pid_clear_refs(5)); where it may not be written the peak is that since the start.
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}
