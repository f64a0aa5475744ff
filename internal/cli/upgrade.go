package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"helm.sh/helm/v4/pkg/action"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/kube"
	release "helm.sh/helm/v4/pkg/release/v1"
	"helm.sh/helm/v4/pkg/storage/driver"

	"openservicemesh.io/osm/internal/core/names"
)

// upgrade is one run of osm mesh upgrade.
type upgrade struct {
	chartSource
	meshName string
	timeout  time.Duration
	takeOver bool
}

func (a *app) meshUpgradeCommand() *cobra.Command {
	var up upgrade
	cmd := &cobra.Command{
		Use:   "upgrade",
		Short: "upgrade osm control plane",
		Long: `Upgrade a control plane to the chart that this command carries.

Values given when the mesh was installed or last upgraded are kept, --set is laid over them. Only the image tag and digests
belong to a release: they are dropped when the upgrade changes the version, unless they are given again. The MeshConfig of the
mesh is not touched, nor is anything in the namespaces of the mesh; restart applications to give them new sidecars.

An upgrade that fails, or that is interrupted, is rolled back: the mesh ends as it was, and sidecars notice nothing.
`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.meshUpgrade(cmd.Context(), up)
		},
	}
	f := cmd.Flags()
	up.chartSource.flags(f)
	f.StringVar(&up.meshName, "mesh-name", names.DefaultMeshName, "name of the mesh to upgrade")
	f.DurationVar(&up.timeout, "timeout", 5*time.Minute, "time to wait for the new control plane before going back; 0 waits without limit")
	f.BoolVar(&up.takeOver, "take-over", false, "go on where an earlier run was killed half-way")
	return cmd
}

func (a *app) meshUpgrade(ctx context.Context, up upgrade) error {
	meshName := up.meshName
	c, err := up.load("upgrade")
	if err != nil {
		return err
	}
	vals, err := up.values()
	if err != nil {
		return err
	}
	cluster, err := a.Connect()
	if err != nil {
		return err
	}
	if _, err := cluster.Version(ctx); err != nil {
		return noAccess(err)
	}
	cfg, err := cluster.Helm(a.namespace, a.logHandler())
	if err != nil {
		return err
	}
	previous := lastRelease(cfg, meshName)
	if previous == nil {
		return fmt.Errorf("mesh [%s] is not installed in namespace [%s]: %w; name it with --mesh-name and --osm-namespace, \"osm mesh list\" shows what there is",
			meshName, a.namespace, driver.NewErrNoDeployedReleases(meshName))
	}
	if err := settlePending(cfg, previous, a.namespace, up.takeOver); err != nil {
		return err
	}
	vals, dropped, err := carryOver(previous, c, vals)
	if err != nil {
		return err
	}
	for _, key := range dropped {
		say(a.Err, "%s belonged to version %s and is not kept; give it with --set to keep it\n", key, previous.Chart.Metadata.AppVersion)
	}
	osm, err := osmValues(vals)
	if err != nil {
		return err
	}
	osm["meshName"] = meshName
	if err := a.runUpgrade(ctx, cluster, cfg, c, vals, up); err != nil {
		return err
	}
	say(a.Out, "OSM successfully upgraded mesh [%s] in namespace [%s]\n", meshName, a.namespace)
	return nil
}

// carryOver lays the new values over those of the previous release. dropped names the previous image tag and digests, left
// out because the version changes and nobody asked for them again.
func carryOver(previous *release.Release, next *chart.Chart, vals map[string]any) (merged map[string]any, dropped []string, err error) {
	old := deepCopy(previous.Config)
	sameVersion := previous.Chart != nil && previous.Chart.Metadata != nil &&
		previous.Chart.Metadata.AppVersion == next.Metadata.AppVersion
	if osm, ok := old["osm"].(map[string]any); ok && !sameVersion {
		if image, ok := osm["image"].(map[string]any); ok {
			for _, key := range []string{"tag", "digest"} {
				if v, set := image[key]; set && v != "" {
					delete(image, key)
					dropped = append(dropped, "osm.image."+key)
				}
			}
		}
	}
	if given, err := osmValues(deepCopy(vals)); err != nil {
		return nil, nil, err
	} else if image, ok := given["image"].(map[string]any); ok {
		dropped = slices.DeleteFunc(dropped, func(key string) bool { _, again := image[key[len("osm.image."):]]; return again })
	}
	return loader.MergeMaps(old, vals), dropped, nil
}

// runUpgrade lets Helm upgrade and wait, shows progress meanwhile, explains a failure and goes back.
func (a *app) runUpgrade(ctx context.Context, cluster *Cluster, cfg *action.Configuration, c *chart.Chart, vals map[string]any, up upgrade) error {
	helm := action.NewUpgrade(cfg)
	helm.Namespace = a.namespace
	helm.WaitStrategy = kube.StatusWatcherStrategy
	helm.WaitOptions = []kube.WaitOption{kube.WithWaitContext(ctx)}
	helm.Timeout = helmTimeout(up.timeout)
	helm.CleanupOnFail = true
	// The values are complete: what the previous release held is merged in already.
	helm.ResetValues = true
	a.debugf("upgrading release %s in namespace %s to chart %s %s", up.meshName, a.namespace, c.Metadata.Name, c.Metadata.Version)
	before := lastRelease(cfg, up.meshName)
	pods := &progress{out: a.Err, kube: cluster.Kube, namespace: a.namespace, since: time.Now().Add(-time.Second)}
	stop := pods.follow(ctx, a.Poll)
	// An interrupt ends the wait, by its own context, and not the writes before it: Helm would go on with those behind the
	// back of whoever goes back.
	_, err := helm.RunWithContext(context.WithoutCancel(ctx), up.meshName, c, vals)
	stop()
	if err == nil {
		return nil
	}
	a.explainFailure(ctx, pods, "")
	switch {
	case ctx.Err() != nil:
		err = ctx.Err() // not the list of what was not ready yet
	case errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("the control plane was not ready within %s (--timeout): %w", helm.Timeout, err)
	}
	if after := lastRelease(cfg, up.meshName); before != nil && after != nil && after.Version == before.Version {
		return err // refused before anything was changed
	}
	say(a.Err, "Going back to the revision before\n")
	return rollBackUpgrade(ctx, cfg, up.meshName, a.namespace, err)
}
