package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"openservicemesh.io/osm/bench/internal/proc"
)

// cpu is the processor time that both pods of a side have used so far, in all their containers and in what was executed
// in them.
func (b *bench) cpu(side string) (time.Duration, error) {
	var sum time.Duration
	for _, pod := range []string{"client", "server"} {
		dir, err := proc.PodGroup(b.uids[side+"/"+pod], "cpuacct")
		if err != nil {
			return 0, err
		}
		used, err := cpuUsed(dir)
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}

func cpuUsed(dir string) (time.Duration, error) {
	if text, err := os.ReadFile(filepath.Join(dir, "cpuacct.usage")); err == nil {
		ns, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		return time.Duration(ns), err
	}
	us, err := value(filepath.Join(dir, "cpu.stat"), "usage_usec")
	return time.Duration(us) * time.Microsecond, err
}

// anonymous is the memory of a pod's Envoy that no file stands behind, in bytes: what the bar of the sidecar counts.
func (b *bench) anonymous(ctx context.Context, side, pod string) (int64, error) {
	id, err := b.cluster.Output(ctx, "kubectl", "get", "pod", pod, "-n", namespace(side), "-o",
		`jsonpath={.status.initContainerStatuses[?(@.name=="envoy")].containerID}{.status.containerStatuses[?(@.name=="envoy")].containerID}`)
	if err != nil {
		return 0, err
	}
	dir, err := proc.PodGroup(b.uids[side+"/"+pod], "memory")
	if err != nil {
		return 0, err
	}
	_, hash, _ := strings.Cut(strings.TrimSpace(id), "://")
	file := filepath.Join(dir, hash, "memory.stat")
	if n, err := value(file, "anon"); err == nil {
		return n, nil
	}
	return value(file, "rss")
}

// value reads one line "NAME NUMBER" of a control group's file.
func value(file, name string) (int64, error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	scan := bufio.NewScanner(f)
	for scan.Scan() {
		if rest, ok := strings.CutPrefix(scan.Text(), name+" "); ok {
			return strconv.ParseInt(rest, 10, 64)
		}
	}
	return 0, fmt.Errorf("%s: no line %q", file, name)
}
