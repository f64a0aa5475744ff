package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"openservicemesh.io/osm/internal/core/names"
)

func (a *app) namespaceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "namespace",
		Short:   "manage osm namespaces",
		Aliases: []string{"ns"},
		Long:    "The subcommands of namespace add namespaces to a mesh, remove them, shut them out and list them.\n",
		Args:    cobra.NoArgs,
	}
	cmd.AddCommand(a.namespaceAddCommand(), a.namespaceRemoveCommand(), a.namespaceIgnoreCommand(), a.namespaceListCommand())
	return cmd
}

// metadataPatch is a strategic merge patch of labels and annotations; nil removes a key.
func metadataPatch(labels, annotations map[string]any) ([]byte, error) {
	metadata := map[string]any{}
	if len(labels) > 0 {
		metadata["labels"] = labels
	}
	if len(annotations) > 0 {
		metadata["annotations"] = annotations
	}
	return json.Marshal(map[string]any{"metadata": metadata})
}

func patchNamespace(ctx context.Context, kube kubernetes.Interface, name string, labels, annotations map[string]any) error {
	patch, err := metadataPatch(labels, annotations)
	if err != nil {
		return err
	}
	_, err = kube.CoreV1().Namespaces().Patch(ctx, name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
	return err
}

func (a *app) namespaceAddCommand() *cobra.Command {
	var meshName string
	var disableInjection bool
	cmd := &cobra.Command{
		Use:   "add NAMESPACE ...",
		Short: "add namespace to mesh",
		Long: `Add namespaces to a mesh. The control plane then sees what they hold, and pods that are created in them from now on get a
sidecar, unless --disable-sidecar-injection is given. Running pods keep running as they are until they are restarted.
`,
		Example: `  osm namespace add bookstore
  osm namespace add bookstore bookbuyer --mesh-name my-mesh
  osm namespace add bookstore --disable-sidecar-injection
`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cluster, err := a.Connect()
			if err != nil {
				return err
			}
			for _, ns := range args {
				if err := a.namespaceAdd(cmd.Context(), cluster.Kube, ns, meshName, disableInjection); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&meshName, "mesh-name", names.DefaultMeshName, "name of the mesh")
	cmd.Flags().BoolVar(&disableInjection, "disable-sidecar-injection", false, "add the namespace without automatic sidecar injection")
	return cmd
}

func (a *app) namespaceAdd(ctx context.Context, kube kubernetes.Interface, ns, meshName string, disableInjection bool) error {
	exists, err := meshExists(ctx, kube, meshName)
	if err != nil {
		return err
	}
	if !exists {
		return fmt.Errorf("mesh [%s] does not exist, please specify another mesh using --mesh-name or create a new mesh", meshName)
	}
	failed := func(err error) error {
		return fmt.Errorf("Could not add namespace [%s] to mesh [%s]: %w", ns, meshName, err)
	}
	controllers, err := kube.AppsV1().Deployments(ns).List(ctx, selector(names.LabelApp, names.Controller))
	if err != nil {
		return failed(err)
	}
	if len(controllers.Items) > 0 {
		say(a.Out, "Namespace [%s] already has [%s] installed and cannot be added to mesh [%s]\n", ns, names.Controller, meshName)
		return nil
	}
	namespace, err := kube.CoreV1().Namespaces().Get(ctx, ns, metav1.GetOptions{})
	if err != nil {
		return failed(err)
	}
	if namespace.Labels[names.LabelMonitoredBy] == meshName {
		say(a.Out, "Namespace [%s] has already been added to mesh [%s]\n", ns, meshName)
		return nil
	}
	if _, ignored := namespace.Labels[names.LabelIgnore]; ignored {
		return errors.New("Cannot add ignored namespace")
	}
	injection := "enabled"
	if disableInjection {
		injection = "disabled"
	}
	if err := patchNamespace(ctx, kube, ns, map[string]any{names.LabelMonitoredBy: meshName},
		map[string]any{names.AnnotationInjection: injection}); err != nil {
		return failed(err)
	}
	say(a.Out, "Namespace [%s] successfully added to mesh [%s]\n", ns, meshName)
	return nil
}

func (a *app) namespaceRemoveCommand() *cobra.Command {
	var meshName string
	cmd := &cobra.Command{
		Use:   "remove NAMESPACE",
		Short: "remove namespace from mesh",
		Long: `Remove a namespace from a mesh. Its pods keep their sidecars until they are restarted.
`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cluster, err := a.Connect()
			if err != nil {
				return err
			}
			return a.namespaceRemove(cmd.Context(), cluster.Kube, args[0], meshName)
		},
	}
	cmd.Flags().StringVar(&meshName, "mesh-name", names.DefaultMeshName, "name of the mesh")
	return cmd
}

func (a *app) namespaceRemove(ctx context.Context, kube kubernetes.Interface, ns, meshName string) error {
	namespace, err := kube.CoreV1().Namespaces().Get(ctx, ns, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("Could not get namespace [%s]: %w", ns, err)
	}
	owner, monitored := namespace.Labels[names.LabelMonitoredBy]
	if !monitored {
		say(a.Out, "Namespace [%s] already does not belong to any mesh\n", ns)
		return nil
	}
	if owner != meshName {
		return fmt.Errorf("Namespace belongs to mesh [%s], not mesh [%s]. Please specify the correct mesh", owner, meshName)
	}
	if err := leaveMesh(ctx, kube, ns); err != nil {
		return fmt.Errorf("Could not remove namespace [%s] from mesh [%s]: %w", ns, meshName, err)
	}
	say(a.Out, "Namespace [%s] successfully removed from mesh [%s]\n", ns, meshName)
	return nil
}

// leaveMesh removes every mark of a mesh from a namespace.
func leaveMesh(ctx context.Context, kube kubernetes.Interface, ns string) error {
	return patchNamespace(ctx, kube, ns,
		map[string]any{names.LabelMonitoredBy: nil, names.LabelIgnore: nil},
		map[string]any{names.AnnotationInjection: nil, names.AnnotationMetrics: nil})
}

func (a *app) namespaceIgnoreCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "ignore NAMESPACE ...",
		Short: "ignore namespace from participating in the mesh",
		Long: `Keep namespaces out of every mesh: no pod in them gets a sidecar, and they cannot be added.
`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cluster, err := a.Connect()
			if err != nil {
				return err
			}
			for _, ns := range args {
				if err := patchNamespace(cmd.Context(), cluster.Kube, ns, map[string]any{names.LabelIgnore: "true"}, nil); err != nil {
					return fmt.Errorf("Failed to retrieve namespace [%s]: %w", ns, err)
				}
				say(a.Out, "Successfully configured namespace [%s] to be ignored\n", ns)
			}
			return nil
		},
	}
}

func (a *app) namespaceListCommand() *cobra.Command {
	var meshName string
	var output listOutput
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list namespaces enlisted in meshes",
		Long:  "List the namespaces of all meshes, or of one.\n",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := output.check(); err != nil {
				return err
			}
			cluster, err := a.Connect()
			if err != nil {
				return err
			}
			return a.namespaceList(cmd.Context(), cluster.Kube, meshName, output)
		},
	}
	cmd.Flags().StringVar(&meshName, "mesh-name", "", "list the namespaces of this mesh only")
	output.flag(cmd.Flags())
	return cmd
}
