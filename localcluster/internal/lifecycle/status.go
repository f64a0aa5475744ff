package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"openservicemesh.io/osm/localcluster/internal/build"
	"openservicemesh.io/osm/localcluster/internal/cluster"
	"openservicemesh.io/osm/localcluster/internal/component"
	"openservicemesh.io/osm/localcluster/internal/kubeapi"
	"openservicemesh.io/osm/localcluster/internal/preflight"
	"openservicemesh.io/osm/localcluster/internal/supervisor"
)

// Status tells how the cluster is. The error says why it is not ready.
func Status(ctx context.Context, l cluster.Layout, say Reporter) error {
	if err := preflight.Root("status"); err != nil {
		return err
	}
	id, ok := l.FindSupervisor()
	if !ok {
		return notRunning(l)
	}
	r, err := l.LoadRecord()
	if err != nil {
		return fmt.Errorf("cluster %q runs as process %d, but its record is lost: %w; run `localcluster down --name %s`", l.Name, id.PID, err, l.Name)
	}
	say("cluster %q, Kubernetes %s, up since %s", l.Name, build.KubernetesVersion, r.Started.Local().Format(time.DateTime))
	say("  state folder  %s", l.Dir())
	say("  supervisor    process %d", id.PID)
	say("  API server    %s, kubeconfig %s", component.APIURL(r.APIPort), l.Kubeconfig())
	st, err := supervisor.ReadStatus(l)
	if err != nil {
		return fmt.Errorf("read the components' state: %w", err)
	}
	var errs []error
	for _, c := range st.Components {
		state := "running"
		if !c.Running {
			state = "not running"
			errs = append(errs, fmt.Errorf("%s is not running (%s); see `localcluster logs --name %s %s`", c.Name, c.LastExit, l.Name, c.Name))
		}
		if c.Restarts > 0 {
			state += fmt.Sprintf(", %d restarts, last %s", c.Restarts, c.LastExit)
		}
		say("  %-24s %s", c.Name, state)
	}
	api, err := kubeapi.New(component.APIURL(r.APIPort), l.Path("pki"), component.AdminPair)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for _, part := range []struct {
		name string
		err  error
	}{
		{"node " + l.Node(), nodeReady(ctx, api, l.Node(), r.Started)},
		{"CoreDNS", dnsReady(ctx, api, r)},
	} {
		state := "Ready"
		if part.err != nil {
			errs, state = append(errs, part.err), "not ready"
		}
		say("  %-24s %s", part.name, state)
	}
	return errors.Join(errs...)
}
