//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"openservicemesh.io/osm/localcluster/internal/process"
)

// snapshot is everything of the machine that a cluster might leave something
// in. Each entry is one line of text, under the heading of where it was found.
type snapshot map[string][]string

// hostNamespaces are the kinds of namespaces that clusters have of their own.
var hostNamespaces = []string{"net", "pid", "mnt", "uts"}

func takeSnapshot(t *testing.T) snapshot {
	t.Helper()
	s := snapshot{
		"ip netns":  list("/run/netns/*", "/var/run/netns/*"),
		"mount":     mounts(t),
		"processes": processes(t),
		"nft rules": nftRules(t),
		"devices":   devices(t),
		"cgroups":   list("/sys/fs/cgroup/osm-localcluster-lc-e2e*", "/sys/fs/cgroup/*/osm-localcluster-lc-e2e*", "/sys/fs/cgroup/kubepods*", "/sys/fs/cgroup/*/kubepods*"),
		"files":     list("/run/containerd", "/run/cni", "/var/lib/cni", "/var/lib/kubelet", "/var/log/pods", "/var/log/containers", "/etc/cni", "/opt/*", "/etc/kubernetes", "/usr/libexec/kubernetes", "/run/xtables.lock"),
		"settings":  settings(t),
	}
	return s
}

// requireSame waits a moment for the kernel to tidy up, then demands equality.
func requireSame(t *testing.T, before snapshot) {
	t.Helper()
	var diff string
	for range 50 {
		if diff = difference(before, takeSnapshot(t)); diff == "" {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("the machine is not as it was:\n%s", diff)
}

func difference(before, after snapshot) string {
	var b strings.Builder
	for what, old := range before {
		for _, line := range after[what] {
			if !slices.Contains(old, line) {
				fmt.Fprintf(&b, "%s: new: %s\n", what, line)
			}
		}
		if what == "processes" { // those of others may end meanwhile
			continue
		}
		for _, line := range old {
			if !slices.Contains(after[what], line) {
				fmt.Fprintf(&b, "%s: gone: %s\n", what, line)
			}
		}
	}
	return b.String()
}

func list(patterns ...string) (out []string) {
	for _, p := range patterns {
		found, _ := filepath.Glob(p)
		out = append(out, found...)
	}
	return out
}

// mounts drops the ids, which are given out anew, and keeps place, kind and options.
func mounts(t *testing.T) (out []string) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		out = append(out, strings.Join(strings.Fields(line)[2:], " "))
	}
	return out
}

// programs are those that a cluster runs.
var programs = []string{"containerd", "containerd-shim-runc-v2", "localkube", "runc", "pause", "probe", "etcd", "coredns"}

// processes lists those that could be left of a cluster of these tests: in a namespace
// that is not this test's, or by their program. Others come and go freely, and other
// clusters of the machine may be up meanwhile.
func processes(t *testing.T) (out []string) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	foreign := foreignNamespaces(entries)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		id, err := process.Of(pid)
		if err != nil || belongsTo(pid, foreign) {
			continue
		}
		if what := suspicious(pid); what != "" {
			out = append(out, fmt.Sprintf("%d/%d %s", pid, id.StartTicks, what))
		}
	}
	return out
}

func cmdline(pid int) []string {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if err != nil || len(b) == 0 {
		return nil
	}
	return strings.Split(strings.TrimRight(string(b), "\x00"), "\x00")
}

// foreignNamespaces are the network namespaces and the supervisors of clusters
// that are not of these tests.
func foreignNamespaces(entries []os.DirEntry) map[uint64]int {
	foreign := map[uint64]int{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if args := cmdline(pid); len(args) > 3 && args[1] == "supervise" && !strings.HasPrefix(args[3], "lc-e2e") {
			if n, err := process.Namespace(pid, "net"); err == nil {
				foreign[n] = pid
			}
		}
	}
	return foreign
}

// belongsTo reports whether a process is in the network of a foreign cluster,
// or descends from its supervisor, as all its containers do.
func belongsTo(pid int, foreign map[uint64]int) bool {
	for ; pid > 1; pid = parent(pid) {
		n, err := process.Namespace(pid, "net")
		if _, ok := foreign[n]; ok && err == nil {
			return true
		}
	}
	return false
}

func parent(pid int) int {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	ppid, _ := strconv.Atoi(fields[1])
	return ppid
}

func suspicious(pid int) string {
	args := cmdline(pid)
	if args == nil { // a thread of the kernel
		return ""
	}
	line := strings.Join(args, " ")
	if slices.Contains(programs, filepath.Base(args[0])) || (filepath.Base(args[0]) == "localcluster" && strings.Contains(line, "lc-e2e")) {
		return line
	}
	for _, kind := range hostNamespaces {
		own, err1 := process.Namespace(os.Getpid(), kind)
		its, err2 := process.Namespace(pid, kind)
		if err1 == nil && err2 == nil && own != its {
			return line
		}
	}
	return ""
}

func nftRules(t *testing.T) []string {
	nft, err := exec.LookPath("nft")
	if err != nil {
		return nil // not installed yet: the first `up` does that
	}
	out, err := exec.Command(nft, "--stateless", "list", "ruleset").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.Split(string(out), "\n")
}

func devices(t *testing.T) (out []string) {
	ifs, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range ifs {
		addrs, _ := i.Addrs()
		out = append(out, fmt.Sprint(i.Name, " ", addrs))
	}
	return out
}

func settings(t *testing.T) (out []string) {
	for _, name := range []string{"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys",
		"kernel/keys/root_maxbytes", "kernel/hostname", "net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "net/netfilter/nf_conntrack_max"} {
		b, err := os.ReadFile("/proc/sys/" + name)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		out = append(out, name+" = "+strings.TrimSpace(string(b)))
	}
	return out
}
