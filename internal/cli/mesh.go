package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"

	corev1 "k8s.io/api/core/v1"

	"openservicemesh.io/osm/internal/core/names"
)

// mesh is one control plane, found by the label of its controller.
type mesh struct {
	name, namespace, version string
	// single tells that it insists on being the only one.
	single bool
}

// unknown stands for what a control plane does not tell.
const unknown = "Unknown"

func (a *app) meshCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mesh",
		Short: "manage osm installations",
		Long:  "The subcommands of mesh list the meshes of a cluster and upgrade them.\n",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(a.meshListCommand())
	if !a.config.Managed() {
		cmd.AddCommand(a.meshUpgradeCommand())
	}
	return cmd
}

// selector writes one label as a list selector.
func selector(key, value string) metav1.ListOptions {
	return metav1.ListOptions{LabelSelector: labels.Set{key: value}.String()}
}

// listMeshes finds every mesh of the cluster, ordered by namespace and name.
func listMeshes(ctx context.Context, kube kubernetes.Interface) ([]mesh, error) {
	list, err := kube.AppsV1().Deployments(metav1.NamespaceAll).List(ctx, selector(names.LabelApp, names.Controller))
	if err != nil {
		return nil, fmt.Errorf("Could not list deployments %w", err)
	}
	var meshes []mesh
	for _, d := range list.Items {
		meshes = append(meshes, mesh{
			name:      d.Labels[names.LabelMeshName],
			namespace: d.Namespace,
			version:   cmp.Or(d.Labels[names.LabelAppVersion], unknown),
			single:    d.Labels[names.LabelEnforceSingleMesh] == "true",
		})
	}
	slices.SortFunc(meshes, func(x, y mesh) int {
		return cmp.Or(cmp.Compare(x.namespace, y.namespace), cmp.Compare(x.name, y.name))
	})
	return meshes, nil
}

// meshExists tells whether any Deployment belongs to a mesh of that name.
func meshExists(ctx context.Context, kube kubernetes.Interface, name string) (bool, error) {
	list, err := kube.AppsV1().Deployments(metav1.NamespaceAll).List(ctx, selector(names.LabelMeshName, name))
	if err != nil {
		return false, fmt.Errorf("Cannot obtain information about the mesh [%s]: [%w]", name, err)
	}
	return len(list.Items) > 0, nil
}

// namespacesOf lists the namespaces of a mesh; an empty name lists those of all meshes.
func namespacesOf(ctx context.Context, kube kubernetes.Interface, meshName string) ([]corev1.Namespace, error) {
	opts := metav1.ListOptions{LabelSelector: names.LabelMonitoredBy}
	if meshName != "" {
		opts = selector(names.LabelMonitoredBy, meshName)
	}
	list, err := kube.CoreV1().Namespaces().List(ctx, opts)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list.Items, func(x, y corev1.Namespace) int { return cmp.Compare(x.Name, y.Name) })
	return list.Items, nil
}

func (a *app) meshListCommand() *cobra.Command {
	var localPort uint16
	var output listOutput
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list control planes in k8s cluster",
		Long:  "List the control planes of the cluster, their namespaces, versions, added namespaces and supported SMI versions.\n",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := output.check(); err != nil {
				return err
			}
			cluster, err := a.Connect()
			if err != nil {
				return err
			}
			return a.meshList(cmd.Context(), cluster, localPort, output)
		},
	}
	cmd.Flags().Uint16VarP(&localPort, "local-port", "p", names.PortControllerHTTP, "local port for the port-forward to a controller")
	output.flag(cmd.Flags())
	return cmd
}

func (a *app) meshList(ctx context.Context, cluster *Cluster, localPort uint16, output listOutput) error {
	meshes, err := listMeshes(ctx, cluster.Kube)
	if err != nil {
		return fmt.Errorf("Unable to list meshes within the cluster.\n%w", err)
	}
	if output.structured() {
		return a.meshListStructured(ctx, cluster, meshes, localPort, output)
	}
	if len(meshes) == 0 {
		say(a.Out, "No osm mesh control planes found\n")
		return nil
	}
	if err := printMeshes(ctx, a.Out, cluster.Kube, meshes, output.wide()); err != nil {
		return err
	}
	w := table(a.Out)
	say(w, "\nMESH NAME\tMESH NAMESPACE\tSMI SUPPORTED\n")
	for _, m := range meshes {
		say(w, "%s\t%s\t%s\n", m.name, m.namespace, a.smiVersions(ctx, cluster, m, localPort))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	say(a.Out, "\nTo list the OSM controller pods for a mesh, please run the following command passing in the mesh's namespace\n")
	say(a.Out, "\tkubectl get pods -n <osm-mesh-namespace> -l app=osm-controller\n")
	return nil
}

// smiVersions asks a controller of the mesh which versions of SMI it serves, as kind:version pairs.
func (a *app) smiVersions(ctx context.Context, cluster *Cluster, m mesh, localPort uint16) string {
	pod, err := runningController(ctx, cluster.Kube, m.namespace)
	if err != nil {
		a.debugf("%v", err)
		return unknown
	}
	target := PodPort{Namespace: m.namespace, Pod: pod, Port: names.PortControllerHTTP}
	body, err := cluster.PodGet(ctx, target, localPort, "/smi/version")
	if err != nil {
		// A busy local port is no reason to know nothing.
		a.debugf("%v", err)
		body, err = cluster.PodGet(ctx, target, 0, "/smi/version")
	}
	if err != nil {
		a.debugf("%v", err)
		return unknown
	}
	kinds := map[string]string{}
	if err := json.Unmarshal(body, &kinds); err != nil || len(kinds) == 0 {
		a.debugf("answer of /smi/version: %q: %v", body, err)
		return unknown
	}
	var pairs []string
	for kind, groupVersion := range kinds {
		version := groupVersion[strings.LastIndex(groupVersion, "/")+1:]
		pairs = append(pairs, kind+":"+version)
	}
	slices.Sort(pairs)
	return strings.Join(pairs, ",")
}

// runningController names a running controller pod, one that is ready where there is one.
func runningController(ctx context.Context, kube kubernetes.Interface, namespace string) (string, error) {
	pods, err := kube.CoreV1().Pods(namespace).List(ctx, selector(names.LabelApp, names.Controller))
	if err != nil {
		return "", fmt.Errorf("list the pods of %s in namespace %s: %w", names.Controller, namespace, err)
	}
	best := ""
	for _, p := range pods.Items {
		if p.Status.Phase != corev1.PodRunning || p.DeletionTimestamp != nil {
			continue
		}
		if podReady(&p) {
			return p.Name, nil
		}
		best = p.Name
	}
	if best == "" {
		return "", fmt.Errorf("no pod of %s is running in namespace %s", names.Controller, namespace)
	}
	return best, nil
}

func podReady(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}
