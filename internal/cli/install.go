package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"helm.sh/helm/v4/pkg/action"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/kube"
	"helm.sh/helm/v4/pkg/storage/driver"

	"openservicemesh.io/osm/internal/core/names"
)

// helmTimeout turns --timeout into Helm's: 0 is no limit for the user and 30 seconds for Helm.
func helmTimeout(timeout time.Duration) time.Duration {
	if timeout == 0 {
		return math.MaxInt64
	}
	return timeout
}

// installation is one run of osm install.
type installation struct {
	chartSource
	meshName          string
	namespace         string
	namespaceChosen   bool
	enforceSingleMesh bool
	timeout           time.Duration
	atomic            bool
}

func (a *app) installCommand() *cobra.Command {
	var in installation
	cmd := &cobra.Command{
		Use:   "install",
		Short: "install osm control plane",
		Long: `Install a control plane with the chart that this command carries, and wait until it is ready.

Whatever can be checked beforehand is checked before anything is changed: the values, the reach of the cluster, other meshes in
it and the rights to create what the mesh is made of. Progress goes to standard error, the result to standard output.
`,
		Example: `  osm install
  osm install --osm-namespace arc-osm-system --set osm.enableEgress=false
  osm install --mesh-name my-mesh --set osm.image.registry=registry.example.com/mesh,osm.image.tag=v1.3.0
`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			in.namespace = a.namespace
			in.namespaceChosen = cmd.Flags().Changed("osm-namespace")
			return a.install(cmd.Context(), in)
		},
	}
	f := cmd.Flags()
	in.chartSource.flags(f)
	f.StringVar(&in.meshName, "mesh-name", names.DefaultMeshName, "name for the new control plane instance")
	f.BoolVar(&in.enforceSingleMesh, "enforce-single-mesh", true, "enforce only deploying one mesh in the cluster")
	f.DurationVar(&in.timeout, "timeout", 5*time.Minute, "time to wait for the installation; 0 waits without limit")
	f.BoolVar(&in.atomic, "atomic", false, "remove everything again when the installation fails")
	return cmd
}

// flags adds the flags of a chart and its values.
func (s *chartSource) flags(f *pflag.FlagSet) {
	f.StringVar(&s.path, "osm-chart-path", "", "path to an osm chart in place of the embedded one")
	f.StringArrayVar(&s.files, "values", nil, "file of chart values, for example charts/osm/values-managed.yaml (can be repeated)")
	f.StringArrayVar(&s.sets, "set", nil, "chart values (can be repeated, or several values separated by commas: key1=val1,key2=val2)")
}

// resolve loads the chart and settles its values; the command's own flags win over --set.
func (in *installation) resolve() (*chart.Chart, map[string]any, error) {
	c, err := in.load("installation")
	if err != nil {
		return nil, nil, err
	}
	vals, err := in.values()
	if err != nil {
		return nil, nil, err
	}
	osm, err := osmValues(vals)
	if err != nil {
		return nil, nil, err
	}
	osm["meshName"] = in.meshName
	osm["enforceSingleMesh"] = in.enforceSingleMesh
	return c, vals, in.settleNamespace(osm)
}

// settleNamespace lets osm.osmNamespace, which the managed preset sets, choose the namespace, unless --osm-namespace does.
// Two different ones would put the mesh where no other command of osm looks for it.
func (in *installation) settleNamespace(osm map[string]any) error {
	wanted, _ := osm["osmNamespace"].(string)
	switch {
	case wanted == "" || wanted == in.namespace:
	case in.namespaceChosen:
		return fmt.Errorf("osm.osmNamespace is %q and --osm-namespace is %q: give the same namespace, or only one of the two", wanted, in.namespace)
	default:
		in.namespace = wanted
	}
	return nil
}

func (a *app) install(ctx context.Context, in installation) error {
	c, vals, err := in.resolve()
	if err != nil {
		return err
	}
	cluster, err := a.Connect()
	if err != nil {
		return err
	}
	version, err := cluster.Version(ctx)
	if err != nil {
		return noAccess(err)
	}
	cfg, err := cluster.Helm(in.namespace, a.logHandler())
	if err != nil {
		return err
	}
	replace, err := a.mayInstall(ctx, cluster, cfg, in)
	if err != nil {
		return err
	}
	rel, err := renderOffline(ctx, c, vals, in.meshName, in.namespace, version)
	if err != nil {
		return err
	}
	rights, err := neededRights(rel, in.namespace, namespaceMissing(ctx, cluster.Kube, in.namespace))
	if err != nil {
		return err
	}
	if missing := missingRights(ctx, cluster.Kube, rights); len(missing) > 0 {
		return fmt.Errorf("missing rights, nothing was changed: the user of this kubeconfig cannot create %s; "+
			"installing a mesh takes the rights of cluster-admin", strings.Join(missing, ", "))
	}
	if err := a.runInstall(ctx, cluster, cfg, c, vals, in, replace); err != nil {
		return err
	}
	say(a.Out, "OSM installed successfully in namespace [%s] with mesh name [%s]\n", in.namespace, in.meshName)
	return nil
}

// mayInstall refuses a second installation and one beside other meshes. It tells whether the remains of a failed first try
// are to be replaced.
func (a *app) mayInstall(ctx context.Context, cluster *Cluster, cfg *action.Configuration, in installation) (replace bool, err error) {
	meshes, err := listMeshes(ctx, cluster.Kube)
	if err != nil {
		return false, err
	}
	if rel := lastRelease(cfg, in.meshName); rel != nil {
		if !replaceable(rel, meshes, in.namespace) {
			return false, fmt.Errorf("cannot re-use a name that is still in use: mesh [%s] is already installed in namespace [%s] (release status: %s); "+
				"change it with \"osm mesh upgrade\" or remove it with \"osm uninstall mesh\"", in.meshName, in.namespace, rel.Info.Status)
		}
		replace = true
	}
	return replace, mayInstall(meshes, in.namespace, in.enforceSingleMesh)
}

// runInstall lets Helm install and wait, shows progress meanwhile and explains a failure.
func (a *app) runInstall(ctx context.Context, cluster *Cluster, cfg *action.Configuration, c *chart.Chart, vals map[string]any, in installation, replace bool) error {
	helm := action.NewInstall(cfg)
	helm.ReleaseName = in.meshName
	helm.Namespace = in.namespace
	helm.CreateNamespace = true
	helm.WaitStrategy = kube.StatusWatcherStrategy
	helm.WaitOptions = []kube.WaitOption{kube.WithWaitContext(ctx)}
	helm.Timeout = helmTimeout(in.timeout)
	helm.Replace = replace
	// The chart's only hook before an installation is the job that asks what mayInstall has just asked, by the same rule: with a pod to
	// start and to remove it takes as long as all the rest. Another chart's hooks run.
	helm.DisableHooks = in.path == ""

	a.debugf("installing chart %s %s as release %s in namespace %s", c.Metadata.Name, c.Metadata.Version, in.meshName, in.namespace)
	var hookLog bytes.Buffer
	cfg.SetHookOutputFunc(func(_, _, _ string) io.Writer { return &hookLog })
	pods := &progress{out: a.Err, kube: cluster.Kube, namespace: in.namespace, since: time.Now().Add(-time.Second)}
	stop := pods.follow(ctx, a.Poll)
	// An interrupt ends the wait, by its own context, and not the writes before it: Helm would go on with those behind the
	// back of whoever removes them.
	_, err := helm.RunWithContext(context.WithoutCancel(ctx), c, vals)
	stop()
	if err == nil {
		return nil
	}
	a.explainFailure(ctx, pods, hookLog.String())
	switch {
	case ctx.Err() != nil:
		err = ctx.Err() // not the list of what was not ready yet
	case errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("the control plane was not ready within %s (--timeout): %w", helm.Timeout, err)
	}
	if in.atomic || ctx.Err() != nil {
		say(a.Err, "Removing what was installed so far\n")
		return rollBack(ctx, cfg, in, err)
	}
	return err
}

// rollBack removes a failed installation. Helm's own roll-back would wait with the context that the user's interrupt has ended, and
// leave the clean-up job behind.
func rollBack(ctx context.Context, cfg *action.Configuration, in installation, failed error) error {
	interrupted := ctx.Err() != nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), uninstallTimeout)
	defer cancel()
	helm := action.NewUninstall(cfg)
	helm.WaitStrategy = kube.StatusWatcherStrategy
	helm.WaitOptions = []kube.WaitOption{kube.WithWaitContext(ctx)}
	helm.Timeout = uninstallTimeout
	if _, err := helm.Run(in.meshName); err != nil && !errors.Is(err, driver.ErrReleaseNotFound) {
		return fmt.Errorf("an error occurred while uninstalling the release. original install error: %w: %w", failed, err)
	}
	if interrupted && !in.atomic {
		return fmt.Errorf("interrupted, and what was installed so far has been removed; \"osm install\" starts anew: %w", failed)
	}
	return fmt.Errorf("release %s failed, and has been uninstalled due to atomic being set: %w", in.meshName, failed)
}

// explainFailure says which pods are not ready and why. The user's interrupt may have ended ctx; the questions are asked
// all the same.
func (a *app) explainFailure(ctx context.Context, pods *progress, hookLog string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reachTimeout)
	defer cancel()
	pods.explain(ctx, a.Err)
	firstLines(a.Err, hookLog, "", 20)
	if a.verbose {
		pods.printStatuses(a.Out)
	}
}
