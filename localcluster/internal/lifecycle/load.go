package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"openservicemesh.io/osm/localcluster/internal/cluster"
	"openservicemesh.io/osm/localcluster/internal/preflight"
	"openservicemesh.io/osm/localcluster/internal/supervisor"
)

// Load imports image tars (of `docker save` or OCI layout) into the cluster.
func Load(ctx context.Context, l cluster.Layout, tars []string, say Reporter) error {
	if err := preflight.Root("load"); err != nil {
		return err
	}
	if _, ok := l.FindSupervisor(); !ok {
		return notRunning(l)
	}
	tools, missing := preflight.Find()
	if tools.Ctr == "" {
		return fmt.Errorf("program ctr is missing; `localcluster up` installs it (missing packages: %s)", strings.Join(missing, ", "))
	}
	for _, t := range tars {
		if _, err := os.Stat(t); err != nil {
			return fmt.Errorf("image tar: %w", err)
		}
	}
	for _, t := range tars {
		names, err := ctrImport(ctx, l, tools, t)
		if err != nil {
			return fmt.Errorf("load %s: %w", t, err)
		}
		if len(names) == 0 {
			say("loaded %s", t)
		}
		for _, n := range names {
			say("loaded %s", n)
			if strings.HasSuffix(n, ":latest") {
				say("  warning: Kubernetes pulls images with the tag latest unless imagePullPolicy says otherwise, and this cluster cannot pull; use a version as tag")
			}
		}
	}
	return nil
}

// ctrImport imports one tar and returns the names of the images in it.
func ctrImport(ctx context.Context, l cluster.Layout, tools preflight.Tools, path string) ([]string, error) {
	s, err := supervisor.ReadSettings(l)
	if err != nil {
		return nil, err
	}
	args := []string{"--address", l.ContainerdSocket(), "--namespace", "k8s.io", "images", "import", "--snapshotter", s.Snapshotter}
	if wantsLocal(ctx, tools.Ctr) {
		args = append(args, "--local")
	}
	out, err := exec.CommandContext(ctx, tools.Ctr, append(args, path)...).CombinedOutput()
	if err != nil {
		return nil, errors.New(strings.TrimSpace(string(out)))
	}
	var names []string
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == "unpacking" {
			names = append(names, f[1])
		}
	}
	return names, nil
}

// wantsLocal reports whether this ctr must be told to unpack by itself: since
// containerd 2 it leaves that to a service which takes no snapshotter. Before 1.7 it
// does not know the flag.
func wantsLocal(ctx context.Context, ctr string) bool {
	help, err := exec.CommandContext(ctx, ctr, "images", "import", "--help").Output()
	return err == nil && strings.Contains(string(help), "--local")
}
