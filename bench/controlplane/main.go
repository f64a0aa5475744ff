// Command controlplane measures the whole control plane: a real API server with etcd and without kubelet, filled with pods,
// Services and EndpointSlices; the real osm-controller; and simulated sidecars in a process of their own. Everything runs on
// loopback in a network of its own, so it needs root.
//
//	go run ./bench/controlplane [-pods 1000] [-services 100] [-endpoints 1000] [-rounds 20] [-rest 30s] [-json FILE] [-profile FOLDER]
//	go run ./bench/controlplane -growth [-pods 5000] [-services 300]   figures at 100, 1,000, … proxies and 10, 100, … services, up to those
//	go run ./bench/controlplane -churn 30m                             pods, endpoints, policies and streams come and go; fails if memory grows
//
// Input: flags, bin/localcluster. Output: a table beside its bars. Times run from the begin of the write to the API server
// to the last sidecar's acknowledgement; CPU and memory are the controller's alone. What the machine itself allows is
// measured by bench/xds, with the least server.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"

	"openservicemesh.io/osm/bench/internal/fleet"
	"openservicemesh.io/osm/bench/internal/report"
	"openservicemesh.io/osm/internal/testkit/cluster"
)

// options are the flags.
type options struct {
	size
	rounds  int
	rest    time.Duration
	profile string
	// churn is for how long things come and go; growth is whether many sizes are measured.
	churn  time.Duration
	growth bool
	// dir holds what processes write, binary is the controller, localkube the folder of the API server's program.
	dir, binary, localkube string
}

func main() {
	var o options
	flag.IntVar(&o.pods, "pods", 1000, "pods, each with a simulated sidecar")
	flag.IntVar(&o.services, "services", 100, "services, each with one identity")
	flag.IntVar(&o.endpoints, "endpoints", 1000, "endpoints in all, not fewer than services")
	flag.IntVar(&o.rounds, "rounds", 20, "repetitions of each change")
	flag.DurationVar(&o.rest, "rest", 30*time.Second, "how long to measure that nothing happens")
	flag.StringVar(&o.profile, "profile", "", "folder to write join.cpu, endpoint.cpu, policy.cpu, permissive.cpu, idle.cpu and joined.heap of the controller into")
	flag.DurationVar(&o.churn, "churn", 0, "for how long to have pods, endpoints, policies and streams come and go, instead of the scenarios")
	flag.BoolVar(&o.growth, "growth", false, "measure smaller meshes, up to -pods and -services, instead of the scenarios")
	file := flag.String("json", "", "file to write the table to as JSON")
	simulate := flag.Bool("fleet", false, "internal: be the sidecars")
	flag.StringVar(&o.dir, "inside", "", "internal: work folder, in a network of its own")
	flag.StringVar(&o.binary, "controller", "", "internal: the program")
	flag.StringVar(&o.localkube, "localkube", "", "internal: folder of the API server's program")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	switch {
	case *simulate:
		err = fleet.Main()
	case o.dir != "":
		err = inside(ctx, o, *file)
	default:
		err = outside(ctx, os.Args[1:])
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// outside makes what is needed and runs this program again in a new network.
func outside(ctx context.Context, args []string) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("a network of its own is needed, so run it as root")
	}
	root, err := cluster.FindRoot()
	if err != nil {
		return err
	}
	localkube, err := findLocalkube(root)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "controlplane")
	if err != nil {
		return err
	}
	binary, err := buildController(ctx, root, dir)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, os.Args[0], slices.Concat(args, []string{"-inside", dir, "-controller", binary, "-localkube", localkube})...) //nolint:gosec // itself
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w; logs are in %s", err, dir)
	}
	return os.RemoveAll(dir)
}

func inside(ctx context.Context, o options, file string) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("take loopback up: %w", err)
	}
	table, failed := run(ctx, o)
	if table == nil {
		return failed
	}
	return errors.Join(failed, table.Publish(os.Stdout, file))
}

// check names the flag that cannot be used.
func (o options) check() error {
	switch {
	case o.services < 2 || o.pods < o.services || o.endpoints < o.services:
		return fmt.Errorf("-services %d, -pods %d, -endpoints %d: at least two services, and a pod and an endpoint for each, are needed", o.services, o.pods, o.endpoints)
	case o.endpoints > 250*o.services:
		return fmt.Errorf("-endpoints %d: at most 250 for each of %d services have addresses", o.endpoints, o.services)
	case o.rounds < 1:
		return fmt.Errorf("-rounds %d: at least one is needed", o.rounds)
	}
	return nil
}

// run measures what the flags ask for. A table may come with an error: of a churn that memory grew in.
func run(ctx context.Context, o options) (*report.Table, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.growth {
		return growth(ctx, o)
	}
	b, end, err := prepare(ctx, o)
	if err != nil {
		return nil, err
	}
	defer end()
	if o.churn > 0 {
		b.table.Title = fmt.Sprintf("Churn: %d sidecars, %d services, for %s", o.pods, o.services, o.churn)
		b.table.Command = fmt.Sprintf("go run ./bench/controlplane -churn %s -pods %d -services %d -endpoints %d", o.churn, o.pods, o.services, o.endpoints)
		return b.table, churn(ctx, b, o.churn)
	}
	if err := b.scenarios(ctx); err != nil {
		return nil, err
	}
	return b.table, nil
}

// prepare fills an API server; end takes everything down again.
func prepare(ctx context.Context, o options) (b *bench, end func(), err error) {
	c, err := startAPIServer(ctx, o.dir, o.localkube)
	if err != nil {
		if c != nil {
			c.stop()
		}
		return nil, nil, err
	}
	w := &world{size: o.size, apiServer: c}
	began := time.Now()
	if err := w.fill(ctx); err != nil {
		c.stop()
		return nil, nil, err
	}
	progress("the API server has %d pods, %d services, %d endpoints (%.0f s)", o.pods, o.services, o.endpoints, time.Since(began).Seconds())
	b = &bench{opts: o, world: w, controller: &controller{dir: o.dir, binary: o.binary, kubeconfig: c.kubeconfig}, table: &report.Table{
		Title:   fmt.Sprintf("Control plane: %d sidecars, %d services, %d endpoints", o.pods, o.services, o.endpoints),
		Command: fmt.Sprintf("go run ./bench/controlplane -pods %d -services %d -endpoints %d -rounds %d", o.pods, o.services, o.endpoints, o.rounds),
	}}
	return b, func() { b.end(); c.stop() }, nil
}

func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...) }

// profileFile is where a profile goes; "" when none is wanted.
func (o options) profileFile(name string) string {
	if o.profile == "" {
		return ""
	}
	return filepath.Join(o.profile, name)
}
