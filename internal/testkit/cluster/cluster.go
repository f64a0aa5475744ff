package cluster

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Cluster is a Kubernetes cluster to test on.
type Cluster struct {
	// Root is the repository.
	Root string
	// Name is the local cluster's name; empty for somebody else's cluster.
	Name string
	// Kubeconfig is a file; empty means kubectl's own default.
	Kubeconfig string
}

// FindRoot walks up from the working directory to the repository.
func FindRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for d := dir; d != "/"; d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "charts", "osm", "Chart.yaml")); err == nil {
			return d, nil
		}
	}
	return "", fmt.Errorf("%s is not inside the repository", dir)
}

// Current uses the cluster that kubectl uses.
func Current(root string) *Cluster { return &Cluster{Root: root, Kubeconfig: os.Getenv("KUBECONFIG")} }

// Local brings up (or finds) the local cluster of a name and loads every image. Progress goes to out.
func Local(ctx context.Context, root, name string, out io.Writer) (*Cluster, error) {
	c := &Cluster{Root: root, Name: name}
	if err := c.stage(ctx, out, c.localcluster(), "--name", name, "up"); err != nil {
		return nil, err
	}
	path, err := exec.CommandContext(ctx, c.localcluster(), "--name", name, "kubeconfig", "--path").Output()
	if err != nil {
		return nil, fmt.Errorf("localcluster kubeconfig: %w", err)
	}
	c.Kubeconfig = strings.TrimSpace(string(path))
	return c, c.loadImages(ctx, out)
}

// debianPackages hold what the peers' images are assembled from on this machine, by a file of each.
var debianPackages = map[string]string{
	"/usr/bin/curl": "curl", "/bin/busybox": "busybox", "/usr/bin/redis-check-rdb": "redis-tools", "/usr/sbin/nginx": "nginx-light",
}

// LoadPeers loads images of other makers (see `go run ./tools/images list`) into the local cluster, and first installs the
// Debian packages that they are assembled from. It does nothing for somebody else's cluster, which pulls the official ones.
func (c *Cluster) LoadPeers(ctx context.Context, out io.Writer, names ...string) error {
	if c.Name == "" {
		return nil
	}
	if err := c.NeedPackages(ctx, out, debianPackages); err != nil {
		return err
	}
	dir := filepath.Join(c.Root, "bin", "images", "peers")
	if err := c.stage(ctx, out, "go", append([]string{"run", "./tools/images", "build", "-o", dir}, names...)...); err != nil {
		return err
	}
	load := []string{"--name", c.Name, "load"}
	for _, name := range names {
		load = append(load, filepath.Join(dir, name+".tar"))
	}
	return c.stage(ctx, out, c.localcluster(), load...)
}

// NeedPackages installs Debian packages that this machine lacks. packages maps a file of each to its name.
func (c *Cluster) NeedPackages(ctx context.Context, out io.Writer, packages map[string]string) error {
	for file, pkg := range packages {
		if _, err := os.Stat(file); err == nil {
			continue
		}
		if err := c.stage(ctx, out, "apt-get", "install", "-y", "--no-install-recommends", pkg); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) localcluster() string { return filepath.Join(c.Root, "bin", "localcluster") }

func (c *Cluster) loadImages(ctx context.Context, out io.Writer) error {
	dir := filepath.Join(c.Root, "bin", "images")
	if err := c.stage(ctx, out, "go", "run", "./tools/images", "build", "-o", dir); err != nil {
		return err
	}
	tars, err := filepath.Glob(filepath.Join(dir, "*.tar"))
	if err != nil {
		return err
	}
	slices.Sort(tars)
	return c.stage(ctx, out, c.localcluster(), append([]string{"--name", c.Name, "load"}, tars...)...)
}

func (c *Cluster) stage(ctx context.Context, out io.Writer, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.Root, out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", filepath.Base(name), strings.Join(args, " "), err)
	}
	return nil
}

// Env is the environment in which kubectl and osm reach the cluster, with the project's own programs first in PATH.
func (c *Cluster) Env() []string {
	env := append(os.Environ(), "PATH="+filepath.Join(c.Root, "bin")+":"+os.Getenv("PATH"))
	if c.Kubeconfig != "" {
		env = append(env, "KUBECONFIG="+c.Kubeconfig)
	}
	return env
}

// Command prepares a command of this machine (kubectl, osm) that reaches the cluster.
func (c *Cluster) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	env := c.Env()
	path := name
	if own := filepath.Join(c.Root, "bin", name); isExecutable(own) {
		path = own
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env, cmd.Dir = env, c.Root
	return cmd
}

// Run runs a command of this machine and returns what it printed. The error holds that too.
func (c *Cluster) Run(ctx context.Context, name string, args ...string) (string, error) {
	out, err := c.Command(ctx, name, args...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// Output is Run for what a program reads: standard output alone. kubectl writes remarks of its own to standard error.
func (c *Cluster) Output(ctx context.Context, name string, args ...string) (string, error) {
	cmd := c.Command(ctx, name, args...)
	var remarks bytes.Buffer
	cmd.Stderr = &remarks
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, out, remarks.String())
	}
	return string(out), nil
}

func isExecutable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&0o111 != 0
}

// Inside returns a command that runs where pods' addresses can be reached. It is nil for a cluster that is not local.
func (c *Cluster) Inside(ctx context.Context, name string, args ...string) *exec.Cmd {
	if c.Name == "" {
		return nil
	}
	cmd := exec.CommandContext(ctx, c.localcluster(), append([]string{"--name", c.Name, "exec", "--", name}, args...)...)
	cmd.Dir, cmd.Env = c.Root, c.Env()
	return cmd
}

// Down removes a local cluster.
func (c *Cluster) Down(ctx context.Context, out io.Writer) error {
	return c.stage(ctx, out, c.localcluster(), "--name", c.Name, "down")
}
