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

// upgradeTimeout is fixed: mesh upgrade has no flag for it.
const upgradeTimeout = 5 * time.Minute

func (a *app) meshUpgradeCommand() *cobra.Command {
	var source chartSource
	var meshName string
	cmd := &cobra.Command{
		Use:   "upgrade",
		Short: "upgrade osm control plane",
		Long: `Upgrade a control plane to the chart that this command carries.

Values given when the mesh was installed or last upgraded are kept, --set is laid over them. Only the image tag and digests
belong to a release: they are dropped when the upgrade changes the version, unless they are given again. The MeshConfig of the
mesh is not touched, nor is anything in the namespaces of the mesh; restart applications to give them new sidecars.
`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.meshUpgrade(cmd.Context(), source, meshName)
		},
	}
	source.flags(cmd.Flags())
	cmd.Flags().StringVar(&meshName, "mesh-name", names.DefaultMeshName, "name of the mesh to upgrade")
	return cmd
}

func (a *app) meshUpgrade(ctx context.Context, source chartSource, meshName string) error {
	c, err := source.load("upgrade")
	if err != nil {
		return err
	}
	vals, err := source.values()
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
	if err := a.runUpgrade(ctx, cluster, cfg, c, vals, meshName); err != nil {
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

func (a *app) runUpgrade(ctx context.Context, cluster *Cluster, cfg *action.Configuration, c *chart.Chart, vals map[string]any, meshName string) error {
	helm := action.NewUpgrade(cfg)
	helm.Namespace = a.namespace
	helm.WaitStrategy = kube.StatusWatcherStrategy
	helm.WaitOptions = []kube.WaitOption{kube.WithWaitContext(ctx)}
	helm.Timeout = upgradeTimeout
	// The values are complete: what the previous release held is merged in already.
	helm.ResetValues = true
	a.debugf("upgrading release %s in namespace %s to chart %s %s", meshName, a.namespace, c.Metadata.Name, c.Metadata.Version)
	pods := &progress{out: a.Err, kube: cluster.Kube, namespace: a.namespace, since: time.Now().Add(-time.Second)}
	stop := pods.follow(ctx, a.Poll)
	_, err := helm.RunWithContext(ctx, meshName, c, vals)
	stop()
	if err == nil {
		return nil
	}
	a.explainFailure(ctx, pods, "")
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("the control plane was not ready within %s: %w", helm.Timeout, err)
	}
	return err
}
