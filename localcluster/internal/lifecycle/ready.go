package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"openservicemesh.io/osm/localcluster/internal/cluster"
	"openservicemesh.io/osm/localcluster/internal/component"
	"openservicemesh.io/osm/localcluster/internal/image"
	"openservicemesh.io/osm/localcluster/internal/kubeapi"
	"openservicemesh.io/osm/localcluster/internal/preflight"
	"openservicemesh.io/osm/localcluster/internal/supervisor"
)

// pollEvery is short against the start, and long against what a look costs.
const pollEvery = 100 * time.Millisecond

// tooOften is how many ends of a component make `up` give up.
const tooOften = 5

// apiName is the name which proves that DNS works.
const apiName = "kubernetes.default.svc.cluster.local."

// step is one condition of readiness.
type step struct {
	done string // what to say when it holds
	// check returns nil when it holds.
	check func(context.Context) error
	// component's log explains why it does not.
	component string
}

// awaitReady waits for one step after the other.
func awaitReady(ctx context.Context, l cluster.Layout, tools preflight.Tools, say Reporter) error {
	r, err := l.LoadRecord()
	if err != nil {
		return fmt.Errorf("read the record: %w", err)
	}
	api, err := kubeapi.New(component.APIURL(r.APIPort), l.Path("pki"), component.AdminPair)
	if err != nil {
		return err
	}
	for _, s := range steps(l, r, api, tools) {
		if err := await(ctx, l, r, s); err != nil {
			return err
		}
		say("%s", s.done)
	}
	return nil
}

func steps(l cluster.Layout, r cluster.Record, api *kubeapi.Client, tools preflight.Tools) []step {
	return []step{
		{"containerd answers, pause image is there", func(ctx context.Context) error { return importPause(ctx, l, tools) }, component.Containerd},
		{"API server is ready on " + component.APIURL(r.APIPort), api.Ready, component.APIServer},
		{"CoreDNS is installed", func(ctx context.Context) error {
			return api.ApplyDNS(ctx, cluster.DNSIP, component.PauseImage, l.Path("bin"), l.Path("dns"))
		}, component.APIServer},
		{"node " + l.Node() + " is Ready", func(ctx context.Context) error {
			return nodeReady(ctx, api, l.Node(), r.Started)
		}, component.Kubelet},
		{"CoreDNS is Ready", func(ctx context.Context) error { return dnsReady(ctx, api, r) }, component.Kubelet},
	}
}

// await polls one step until it holds, the time is up or the supervisor is gone.
func await(ctx context.Context, l cluster.Layout, r cluster.Record, s step) error {
	for {
		err := s.check(ctx)
		if err == nil {
			return nil
		}
		if !r.Supervisor.Alive() {
			return fmt.Errorf("the cluster's supervisor ended:\n%s", tail(l.Log(component.Supervisor), 5))
		}
		if name := hopeless(l); name != "" {
			return notReady(ctx, l, s, fmt.Errorf("%s ends again and again", name))
		}
		select {
		case <-ctx.Done():
			return notReady(ctx, l, s, err)
		case <-time.After(pollEvery):
		}
	}
}

// hopeless names a component that ended too often to wait any longer.
func hopeless(l cluster.Layout) string {
	st, err := supervisor.ReadStatus(l)
	if err != nil {
		return ""
	}
	for _, c := range st.Components {
		if c.Restarts >= tooOften && !c.Running {
			return c.Name
		}
	}
	return ""
}

// notReady explains what did not come about, and what the components say.
func notReady(ctx context.Context, l cluster.Layout, s step, last error) error {
	var b strings.Builder
	fmt.Fprintf(&b, "not reached: %q: %v", s.done, last)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		b.WriteString(" (time is up; allow more with --timeout)")
	}
	if st, err := supervisor.ReadStatus(l); err == nil {
		for _, c := range st.Components {
			if !c.Running && c.LastExit != "" {
				fmt.Fprintf(&b, "\n%s does not stay up (%s, %d restarts); end of its log:\n%s", c.Name, c.LastExit, c.Restarts, tail(l.Log(c.Name), 5))
			}
		}
	}
	fmt.Fprintf(&b, "\nend of the log of %s (all of it: localcluster logs --name %s %s):\n%s", s.component, l.Name, s.component, tail(l.Log(s.component), 5))
	return errors.New(b.String())
}

// nodeReady demands a report of this start: the API server still has the last
// one from before a crash.
func nodeReady(ctx context.Context, api *kubeapi.Client, node string, since time.Time) error {
	ready, why, heartbeat, err := api.NodeReady(ctx, node)
	switch {
	case err != nil:
		return err
	case heartbeat.Before(since.Truncate(time.Second)): // heartbeats have whole seconds
		return errors.New("the kubelet has not reported since the start")
	case !ready:
		return fmt.Errorf("node is not ready: %s", why)
	}
	return nil
}

// dnsReady asks the API server and then DNS itself, by way of its Service.
func dnsReady(ctx context.Context, api *kubeapi.Client, r cluster.Record) error {
	ready, why, err := api.DeploymentReady(ctx, kubeapi.DNSNamespace, kubeapi.DNSDeployment)
	if err != nil {
		return err
	}
	if !ready {
		pods, _ := api.Pods(ctx, kubeapi.DNSNamespace)
		return fmt.Errorf("CoreDNS: %s; pods: %s", why, pods)
	}
	resolver := net.Resolver{PreferGo: true, StrictErrors: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var conn net.Conn
		err := inNetwork(r.Supervisor.PID, func() (err error) {
			conn, err = (&net.Dialer{Timeout: time.Second}).DialContext(ctx, network, net.JoinHostPort(cluster.DNSIP, "53"))
			return err
		})
		return conn, err
	}}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	got, err := resolver.LookupHost(ctx, apiName)
	if err != nil {
		return fmt.Errorf("ask CoreDNS at %s: %w", cluster.DNSIP, err)
	}
	if len(got) != 1 || got[0] != cluster.ServiceIP {
		return fmt.Errorf("CoreDNS says that %s is %v, not %s", apiName, got, cluster.ServiceIP)
	}
	return nil
}

// importPause imports the image that every pod needs.
func importPause(ctx context.Context, l cluster.Layout, tools preflight.Tools) error {
	c, err := net.DialTimeout("unix", l.ContainerdSocket(), time.Second)
	if err != nil {
		return err
	}
	c.Close()
	path := l.Path("images", "pause.tar")
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	err = image.Write(f, component.PauseImage, "pause", l.Path("bin", "pause"))
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	_, err = ctrImport(ctx, l, tools, path)
	return err
}

// tail returns the last n lines of a file.
func tail(path string, n int) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return "  (no log: " + err.Error() + ")"
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return "  " + strings.Join(lines[max(0, len(lines)-n):], "\n  ")
}
