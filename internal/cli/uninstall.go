package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/kube"
	"helm.sh/helm/v4/pkg/storage/driver"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"openservicemesh.io/osm/internal/core/names"
)

// uninstallTimeout bounds the wait for deletions and for the cleanup job.
const uninstallTimeout = 5 * time.Minute

// uninstallation is one run of osm uninstall mesh.
type uninstallation struct {
	meshName, namespace  string
	force                bool
	clusterWideResources bool
	deleteNamespace      bool
	localPort            uint16
	caBundleSecret       string
}

func (a *app) uninstallCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "uninstall",
		Aliases: []string{"delete", "del"},
		Short:   "uninstall resources",
		Long:    "The subcommands of uninstall remove what osm installed.\n",
		Args:    cobra.NoArgs,
	}
	cmd.AddCommand(a.uninstallMeshCommand())
	return cmd
}

func (a *app) uninstallMeshCommand() *cobra.Command {
	var u uninstallation
	cmd := &cobra.Command{
		Use:   "mesh",
		Short: "uninstall osm control plane",
		Long: `Remove a control plane. Applications keep running: their namespaces leave the mesh, and their pods lose their sidecars when they
are restarted. Custom resource definitions, and with them every policy, stay unless --delete-cluster-wide-resources is given.
`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			u.namespace = a.namespace
			return a.uninstall(cmd.Context(), u)
		},
	}
	f := cmd.Flags()
	f.StringVar(&u.meshName, "mesh-name", "", "name of the mesh")
	f.BoolVarP(&u.force, "force", "f", false, "uninstall without asking")
	f.BoolVarP(&u.clusterWideResources, "delete-cluster-wide-resources", "a", false,
		"also delete custom resource definitions (and all objects of their kinds), webhook configurations and the CA bundle secret")
	f.BoolVar(&u.deleteNamespace, "delete-namespace", false, "also delete the namespace of the control plane")
	f.Uint16VarP(&u.localPort, "local-port", "p", names.PortControllerHTTP, "local port for the port-forward to a controller")
	f.StringVar(&u.caBundleSecret, "ca-bundle-secret-name", names.CABundleSecret, "name of the secret with the CA bundle")
	return cmd
}

func (a *app) uninstall(ctx context.Context, u uninstallation) error {
	cluster, err := a.Connect()
	if err != nil {
		return err
	}
	if a.config.Managed() {
		say(a.Out, "OSM CANNOT be uninstalled in a managed environment\n")
		if u.deleteNamespace {
			say(a.Out, "OSM namespace CANNOT be deleted in a managed environment\n")
		}
		return a.deleteClusterWide(ctx, cluster, u)
	}
	chosen, err := a.chooseMeshes(ctx, cluster, &u)
	if err != nil {
		return err
	}
	for _, m := range chosen {
		if err := a.uninstallOne(ctx, cluster, u, m); err != nil {
			return err
		}
		if u.deleteNamespace {
			if err := a.deleteMeshNamespace(ctx, cluster, m.namespace); err != nil {
				return err
			}
		}
	}
	if len(chosen) == 1 {
		u.meshName, u.namespace = chosen[0].name, chosen[0].namespace
	}
	return a.deleteClusterWide(ctx, cluster, u)
}

// chooseMeshes finds the meshes to remove, asking the user unless forced. None is no error: there is nothing left to do,
// or the user said no. It clears u.clusterWideResources where going on would surprise.
func (a *app) chooseMeshes(ctx context.Context, cluster *Cluster, u *uninstallation) ([]mesh, error) {
	meshes, err := listMeshes(ctx, cluster.Kube)
	if err != nil {
		return nil, fmt.Errorf("unable to list meshes within the cluster: %w", err)
	}
	if len(meshes) == 0 {
		say(a.Out, "No OSM control planes found\n")
		return nil, nil
	}
	if u.meshName != "" && !slices.ContainsFunc(meshes, func(m mesh) bool { return m.name == u.meshName }) {
		u.clusterWideResources = false
		say(a.Out, "Did not find mesh [%s] in namespace [%s]\n", u.meshName, u.namespace)
		return nil, a.printPresent(ctx, cluster, u.localPort)
	}
	if u.force {
		m, err := forcedMesh(meshes, *u)
		return []mesh{m}, err
	}
	if err := a.printPresent(ctx, cluster, u.localPort); err != nil {
		return nil, err
	}
	chosen, err := a.askForEach(meshes, u.meshName)
	if len(chosen) == 0 {
		u.clusterWideResources = false
	}
	return chosen, err
}

func (a *app) printPresent(ctx context.Context, cluster *Cluster, localPort uint16) error {
	say(a.Out, "List of meshes present in the cluster:\n")
	return a.meshList(ctx, cluster, localPort, listOutput{})
}

// forcedMesh picks the mesh --force means: the only one, or the one its flags name.
func forcedMesh(meshes []mesh, u uninstallation) (mesh, error) {
	if len(meshes) == 1 {
		return meshes[0], nil
	}
	var named, told []mesh
	for _, m := range meshes {
		if m.name == u.meshName && m.namespace == u.namespace {
			return m, nil
		}
		if m.name == u.meshName {
			named = append(named, m)
		}
		told = append(told, m)
	}
	if len(named) == 1 {
		return named[0], nil
	}
	var list []string
	for _, m := range told {
		list = append(list, fmt.Sprintf("[%s] in namespace [%s]", m.name, m.namespace))
	}
	return mesh{}, fmt.Errorf("--force needs to know which mesh to uninstall: give --mesh-name and --osm-namespace of one of %s", strings.Join(list, ", "))
}

func (a *app) askForEach(meshes []mesh, only string) ([]mesh, error) {
	answers := bufio.NewReader(a.In)
	var chosen []mesh
	for _, m := range meshes {
		if only != "" && m.name != only {
			continue
		}
		question := fmt.Sprintf("\nUninstall OSM [mesh name: %s] in namespace [%s] and/or OSM resources?", m.name, m.namespace)
		yes, err := confirm(answers, a.Out, question, 3)
		if errors.Is(err, errInterrupted) {
			return nil, fmt.Errorf("%w before the answer; nothing was uninstalled", err)
		}
		if err != nil {
			return nil, fmt.Errorf("read the answer: %w; --force uninstalls without asking", err)
		}
		if yes {
			chosen = append(chosen, m)
		}
	}
	return chosen, nil
}

// confirm asks a yes/no question at most tries times; no usable answer is a no.
func confirm(in *bufio.Reader, out io.Writer, question string, tries int) (bool, error) {
	for range tries {
		say(out, "%s [y/n]: ", question)
		line, err := in.ReadString('\n')
		if err != nil && line == "" {
			return false, err
		}
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "y":
			return true, nil
		case "n":
			return false, nil
		case "":
		default:
			say(out, "Invalid input.\n")
		}
	}
	return false, nil
}

// uninstallOne removes one release and takes its namespaces out of the mesh. The namespaces leave as soon as the control
// plane is gone, even when a later step fails: what stays must not keep their pods from starting. Where more was asked for
// (cluster-wide resources, the namespace), a failure is printed and does not end the run.
func (a *app) uninstallOne(ctx context.Context, cluster *Cluster, u uninstallation, m mesh) error {
	cfg, err := cluster.Helm(m.namespace, a.logHandler())
	if err != nil {
		return err
	}
	var hookLog bytes.Buffer
	cfg.SetHookOutputFunc(func(_, _, _ string) io.Writer { return &hookLog })
	helm := action.NewUninstall(cfg)
	helm.WaitStrategy = kube.StatusWatcherStrategy
	helm.WaitOptions = []kube.WaitOption{kube.WithWaitContext(ctx)}
	helm.Timeout = uninstallTimeout
	say(a.Err, "Removing the control plane of mesh [%s] from namespace [%s]\n", m.name, m.namespace)
	_, err = helm.Run(m.name)
	switch {
	case err == nil:
		say(a.Out, "OSM [mesh name: %s] in namespace [%s] uninstalled\n", m.name, m.namespace)
	case errors.Is(err, driver.ErrReleaseNotFound):
		say(a.Out, "No OSM control plane with mesh name [%s] found in namespace [%s]\n", m.name, m.namespace)
	default:
		firstLines(a.Err, hookLog.String(), "", 20)
	}
	if there, listErr := meshExists(ctx, cluster.Kube, m.name); listErr == nil && !there {
		a.releaseNamespaces(ctx, cluster, m.name)
	}
	if err != nil {
		return a.goOn(u, m, err)
	}
	return nil
}

// goOn tells that a failure does not end the run where more was asked for, and returns the failure otherwise.
func (a *app) goOn(u uninstallation, m mesh, err error) error {
	if !u.clusterWideResources && !u.deleteNamespace {
		return err
	}
	say(a.Out, "Could not uninstall mesh name [%s] in namespace [%s]- %v - continuing to deleteClusterWideResources and/or deleteNamespace\n",
		m.name, m.namespace, err)
	return nil
}

// releaseNamespaces takes every namespace out of a mesh that is no more.
func (a *app) releaseNamespaces(ctx context.Context, cluster *Cluster, meshName string) {
	// The control plane is gone: an interrupt must not leave its namespaces behind.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancel()
	list, err := namespacesOf(ctx, cluster.Kube, meshName)
	if err != nil {
		say(a.Err, "Could not list the namespaces of mesh [%s], their labels stay: %v\n", meshName, err)
		return
	}
	for _, ns := range list {
		if err := leaveMesh(ctx, cluster.Kube, ns.Name); err != nil {
			say(a.Err, "Could not remove namespace [%s] from mesh [%s]: %v\n", ns.Name, meshName, err)
			continue
		}
		say(a.Err, "Namespace [%s] successfully removed from mesh [%s]\n", ns.Name, meshName)
	}
}

func (a *app) deleteMeshNamespace(ctx context.Context, cluster *Cluster, ns string) error {
	err := cluster.Kube.CoreV1().Namespaces().Delete(ctx, ns, metav1.DeleteOptions{})
	switch {
	case err == nil:
		say(a.Out, "OSM namespace [%s] deleted successfully\n", ns)
	case apierrors.IsNotFound(err):
		say(a.Out, "OSM namespace [%s] not found\n", ns)
	default:
		return fmt.Errorf("Could not delete OSM namespace [%s] - %w", ns, err)
	}
	return nil
}
