package preflight

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Tools are the programs of the machine that a cluster uses.
type Tools struct {
	// Containerd and Ctr are paths of programs.
	Containerd, Ctr string
	// CNIBinDir holds the network plugins.
	CNIBinDir string
}

// need is a program and the Debian package that has it.
type need struct{ program, pkg string }

var needs = []need{
	{"containerd", "containerd"},
	{"containerd-shim-runc-v2", "containerd"},
	{"ctr", "containerd"},
	{"runc", "runc"},
	{"nft", "nftables"},
	{"mount", "mount"},
	{"nsenter", "util-linux"},
}

// Plugins of the container network and the folders where distributions put them.
const cniPackage = "containernetworking-plugins"

var (
	cniPlugins = []string{"ptp", "host-local", "loopback"}
	cniDirs    = []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"}
)

// sbin is searched besides PATH: users' paths often lack it.
const sbin = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"

// Root complains unless this process has the rights of root.
func Root(command string) error {
	if os.Geteuid() == 0 {
		return nil
	}
	return fmt.Errorf("`localcluster %s` needs root, because it makes network namespaces, mounts and containers; run `sudo %s`",
		command, strings.Join(os.Args, " "))
}

// Kernel complains about a kernel that cannot run the cluster.
func Kernel() error {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return fmt.Errorf("ask for the kernel's version: %w", err)
	}
	if err := checkRelease(unix.ByteSliceToString(u.Release[:])); err != nil {
		return err
	}
	for _, ns := range []string{"mnt", "pid", "net", "uts"} {
		if _, err := os.Stat("/proc/self/ns/" + ns); err != nil {
			return fmt.Errorf("the kernel has no %s namespaces; use one with CONFIG_NAMESPACES and all of its kinds", ns)
		}
	}
	return nil
}

func checkRelease(release string) error {
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		return fmt.Errorf("kernel version %q is not understood: %w", release, err)
	}
	if major < 5 || (major == 5 && minor < 13) {
		return fmt.Errorf("kernel %s is too old: kube-proxy's nftables mode needs 5.13; boot a newer kernel", release)
	}
	return nil
}

// IPv6 reports whether the kernel has IPv6 switched on.
func IPv6() bool {
	b, err := os.ReadFile("/proc/sys/net/ipv6/conf/all/disable_ipv6")
	return err == nil && strings.TrimSpace(string(b)) == "0"
}

// Find looks for all programs. The second result lists the packages of those
// that are missing.
func Find() (Tools, []string) {
	var missing []string
	paths := map[string]string{}
	for _, n := range needs {
		p := lookPath(n.program)
		if p == "" && !slices.Contains(missing, n.pkg) {
			missing = append(missing, n.pkg)
		}
		paths[n.program] = p
	}
	t := Tools{Containerd: paths["containerd"], Ctr: paths["ctr"], CNIBinDir: findCNI(cniDirs)}
	if t.CNIBinDir == "" {
		missing = append(missing, cniPackage)
	}
	return t, missing
}

func lookPath(program string) string {
	for _, dir := range filepath.SplitList(sbin + ":" + os.Getenv("PATH")) {
		p := filepath.Join(dir, program)
		if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 && filepath.IsAbs(p) {
			return p
		}
	}
	return ""
}

func findCNI(dirs []string) string {
	for _, d := range dirs {
		all := true
		for _, p := range cniPlugins {
			if _, err := os.Stat(filepath.Join(d, p)); err != nil {
				all = false
			}
		}
		if all {
			return d
		}
	}
	return ""
}

// Ensure finds all programs and installs what is missing where it knows how.
func Ensure(ctx context.Context, say func(format string, args ...any), out io.Writer) (Tools, error) {
	t, missing := Find()
	if len(missing) == 0 {
		return t, nil
	}
	apt := lookPath("apt-get")
	if apt == "" {
		return t, fmt.Errorf("missing programs: install the packages that Debian calls %s (looked for plugins in %s)",
			strings.Join(missing, ", "), strings.Join(cniDirs, ", "))
	}
	say("installing %s", strings.Join(missing, ", "))
	if err := install(ctx, apt, missing, out); err != nil {
		return t, err
	}
	if t, missing = Find(); len(missing) > 0 {
		return t, fmt.Errorf("installed, but still without the programs of %s; install them by hand", strings.Join(missing, ", "))
	}
	return t, nil
}

// install runs apt-get. Debian starts a service with the containerd package; as
// the cluster has its own containerd, that service is stopped again.
func install(ctx context.Context, apt string, packages []string, out io.Writer) error {
	run := func(name string, args ...string) error {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		var tail strings.Builder
		cmd.Stdout, cmd.Stderr = io.MultiWriter(out, &tail), io.MultiWriter(out, &tail)
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("`%s %s` failed: %w\n%s", name, strings.Join(args, " "), err, lastLines(tail.String(), 10))
		}
		return nil
	}
	args := append([]string{"install", "-y", "--no-install-recommends"}, packages...)
	if err := errors.Join(run(apt, "update"), run(apt, args...)); err != nil {
		return fmt.Errorf("install missing packages: %w\ncure: make package sources reachable, or install %s by hand", err, strings.Join(packages, " "))
	}
	if _, err := os.Stat("/run/systemd/system"); err == nil && slices.Contains(packages, "containerd") {
		return run("systemctl", "disable", "--now", "containerd.service")
	}
	return nil
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
