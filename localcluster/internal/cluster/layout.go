package cluster

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// Addresses inside the cluster's own network namespace. Every cluster has the
// same ones: nothing of it is visible outside of its namespace.
const (
	NodeIP      = "10.77.0.1"
	NodeCIDR    = "10.77.0.1/24"
	PodCIDR     = "10.244.0.0/24"
	ServiceCIDR = "10.96.0.0/16"
	// ServiceIP is the address of the Service default/kubernetes.
	ServiceIP = "10.96.0.1"
	// DNSIP is the address of the Service kube-system/kube-dns.
	DNSIP = "10.96.0.10"

	NodeIP6      = "fd77::1"
	NodeCIDR6    = "fd77::1/64"
	PodCIDR6     = "fd78::/64"
	ServiceCIDR6 = "fd79::/112"
)

// DefaultName is the name of the cluster that commands without --name mean.
const DefaultName = "osm"

// DefaultStateDir is the folder under which each cluster has a folder of its
// own; everything needs root, so it is the machine's, not a user's.
const DefaultStateDir = "/var/lib/osm-localcluster"

// maxSocketPath is the kernel's limit for the path of a unix socket, less the
// closing zero byte.
const maxSocketPath = 107

var nameRE = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$`)

// Layout gives the place of everything that belongs to one cluster.
type Layout struct {
	// Name of the cluster, a DNS label of at most 32 characters.
	Name string
	// Base is the folder that holds the folders of all clusters.
	Base string
}

// NewLayout checks name and folder. The folder is made absolute.
func NewLayout(name, base string) (Layout, error) {
	if !nameRE.MatchString(name) {
		return Layout{}, fmt.Errorf("cluster name %q is not allowed: use at most 32 lower-case letters, digits and '-', "+
			"with a letter or digit at both ends (flag --name)", name)
	}
	abs, err := filepath.Abs(base)
	if err != nil {
		return Layout{}, fmt.Errorf("state folder %q: %w", base, err)
	}
	abs = resolve(abs)
	l := Layout{Name: name, Base: abs}
	if p := l.ContainerdSocket() + ".ttrpc"; len(p) > maxSocketPath {
		return Layout{}, fmt.Errorf("state folder %q is too long: the socket path %s would have %d characters, the kernel allows %d; "+
			"choose a shorter one with --state-dir", abs, p, len(p), maxSocketPath)
	}
	return l, nil
}

// resolve follows symbolic links in the part of the path that exists. One folder
// must have one name: processes and control groups are found by it.
func resolve(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil || path == "/" {
		return real
	}
	return filepath.Join(resolve(filepath.Dir(path)), filepath.Base(path))
}

// Dir is the folder of this cluster; `down` removes it as a whole.
func (l Layout) Dir() string { return filepath.Join(l.Base, l.Name) }

// Path joins elements to the cluster's folder.
func (l Layout) Path(elem ...string) string {
	return filepath.Join(append([]string{l.Dir()}, elem...)...)
}

// LockPath lies beside the folder, so that it can be held while that is removed.
func (l Layout) LockPath() string { return filepath.Join(l.Base, "."+l.Name+".lock") }

// Node is the name of the only node.
func (l Layout) Node() string { return l.Name + "-node" }

// CgroupName is the cluster's group below the root of each hierarchy. Two
// clusters of one name in different state folders get different ones.
func (l Layout) CgroupName() string {
	sum := sha256.Sum256([]byte(l.Dir()))
	return "osm-localcluster-" + l.Name + "-" + hex.EncodeToString(sum[:4])
}

// RecordPath is where the record of the running cluster lies.
func (l Layout) RecordPath() string { return l.Path("cluster.json") }

// StatusPath is where the supervisor tells the state of its components.
func (l Layout) StatusPath() string { return l.Path("run", "status.json") }

// ContainerdSocket is reachable from the machine as well as from inside.
func (l Layout) ContainerdSocket() string { return l.Path("run", "containerd.sock") }

// Kubeconfig is the administrator's; it is valid both on the machine and inside
// the cluster's network, because the API server has the same loopback address
// in both.
func (l Layout) Kubeconfig() string { return l.Path("kubeconfig") }

// Log is the log file of a component.
func (l Layout) Log(component string) string { return l.Path("log", component+".log") }

// Localkube is the cluster's own copy (a hard link where possible) of the
// multi-call binary, so that a rebuild or a cleaned cache does not pull it from
// under a running cluster.
func (l Layout) Localkube() string { return l.Path("bin", "localkube") }

// MakeDirs makes all folders, readable by root only because keys lie in them.
func (l Layout) MakeDirs() error {
	if err := os.MkdirAll(l.Base, 0o755); err != nil {
		return fmt.Errorf("make the state folder: %w", err)
	}
	for _, d := range []string{"", "bin", "etc", "pki", "log", "run", "cni", "cni/bin", "dns", "images", "etcd", "containerd", "kubelet", "varlog"} {
		mode := os.FileMode(0o700)
		if d == "dns" || d == "bin" { // mounted into the CoreDNS pod, which drops the right to pass by modes
			mode = 0o755
		}
		if err := os.MkdirAll(l.Path(d), mode); err != nil {
			return fmt.Errorf("make the state folder: %w", err)
		}
	}
	return nil
}
