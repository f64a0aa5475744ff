package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"openservicemesh.io/osm/localcluster/internal/build"
	"openservicemesh.io/osm/localcluster/internal/cgroup"
	"openservicemesh.io/osm/localcluster/internal/cluster"
	"openservicemesh.io/osm/localcluster/internal/component"
	"openservicemesh.io/osm/localcluster/internal/preflight"
)

// Reporter is told each step.
type Reporter func(format string, args ...any)

// UpOptions are what `up` can be told.
type UpOptions struct {
	// Source is the folder of this module's sources; empty: look for it.
	Source string
	// APIPort is the wanted port on 127.0.0.1; 0: the last one or a free one.
	APIPort int
	// Timeout is for the start proper, without building and installing.
	Timeout time.Duration
	// Out takes the output of the package installation.
	Out io.Writer
}

// Up brings the cluster up, from whatever state it is in, and returns when node
// and DNS are ready.
func Up(ctx context.Context, l cluster.Layout, o UpOptions, say Reporter) error {
	if err := errors.Join(preflight.Root("up"), preflight.Kernel()); err != nil {
		return err
	}
	if _, err := cgroup.Roots(); err != nil {
		return err
	}
	tools, err := preflight.Ensure(ctx, say, o.Out)
	if err != nil {
		return err
	}
	built, err := Build(ctx, o.Source, say)
	if err != nil {
		return err
	}
	unlock, err := l.Lock(func() { say("waiting for another command that works on cluster %q", l.Name) })
	if err != nil {
		return err
	}
	defer unlock()
	if _, running := l.FindSupervisor(); running {
		if err := checkRunning(l, o, built, say); err != nil {
			return err
		}
	} else if err := start(l, o, tools, built, say); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	return awaitReady(ctx, l, tools, say)
}

// Build makes sure that the programs are built and returns where they are.
func Build(ctx context.Context, source string, say Reporter) (build.Output, error) {
	src, err := build.Source(source)
	if err != nil {
		return build.Output{}, err
	}
	cache, err := build.CacheDir()
	if err != nil {
		return build.Output{}, err
	}
	return build.Run(ctx, src, cache, say)
}

// checkRunning says what differs between the running cluster and the wanted one.
func checkRunning(l cluster.Layout, o UpOptions, built build.Output, say Reporter) error {
	r, err := l.LoadRecord()
	if err != nil {
		return fmt.Errorf("cluster %q runs, but its record is lost (%w); run `localcluster down --name %s` first", l.Name, err, l.Name)
	}
	if o.APIPort != 0 && o.APIPort != r.APIPort {
		return fmt.Errorf("cluster %q runs with --api-port %d, not %d; run `localcluster down --name %s` first", l.Name, r.APIPort, o.APIPort, l.Name)
	}
	say("cluster %q is running", l.Name)
	if r.Build != built.Hash {
		say("it runs binaries of an older build; to renew them: localcluster down --name %[1]s && localcluster up --name %[1]s", l.Name)
	}
	return nil
}

// start puts everything into the state folder and starts the supervisor.
func start(l cluster.Layout, o UpOptions, tools preflight.Tools, built build.Output, say Reporter) error {
	old, err := l.LoadRecord()
	if err == nil {
		say("cluster %q was up before; healing what its end left", l.Name)
	}
	if err := clear(l); err != nil {
		return err
	}
	if err := l.MakeDirs(); err != nil {
		return err
	}
	if err := stage(built.Program("localkube"), l.Localkube()); err != nil {
		return err
	}
	if err := stage(built.Program("pause"), l.Path("bin", "pause")); err != nil {
		return err
	}
	if err := rotateLogs(l); err != nil {
		return err
	}
	listener, port, err := listen(o.APIPort, old.APIPort)
	if err != nil {
		return err
	}
	defer listener.Close()
	s := component.Settings{Layout: l, APIPort: port, IPv6: preflight.IPv6(), CNIBinDir: tools.CNIBinDir, Containerd: tools.Containerd}
	if err := component.WritePKI(s, time.Now()); err != nil {
		return err
	}
	if err := ensureHosts(l); err != nil {
		return err
	}
	say("starting Kubernetes %s", build.KubernetesVersion)
	return spawn(l, s, built.Hash, listener)
}

// clear removes what an ended supervisor left on the machine, except for the
// cluster's data.
func clear(l cluster.Layout) error {
	if err := unmountUnder(l.Dir()); err != nil {
		return err
	}
	if err := cgroup.Remove(l.CgroupName(), 10*time.Second); err != nil {
		return fmt.Errorf("%w (a process of the old cluster may still run in it)", err)
	}
	for _, d := range []string{"run", "cni", "etc"} {
		if err := os.RemoveAll(l.Path(d)); err != nil {
			return fmt.Errorf("clear the state folder: %w", err)
		}
	}
	return nil
}

// ensureHosts makes the file of names that stand for the world outside.
func ensureHosts(l cluster.Layout) error {
	f, err := os.OpenFile(l.Path("dns", "hosts"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return fmt.Errorf("make the hosts file of CoreDNS: %w", err)
	}
	return f.Close()
}
