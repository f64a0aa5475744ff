package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/scrape"
)

func (a *app) metricsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "metrics",
		Short: "manage metrics",
		Long:  "The subcommands of metrics let Prometheus scrape the sidecars of namespaces, or stop it.\n",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(
		a.metricsSwitch("enable", "enable metrics", `Let Prometheus scrape the sidecars of all pods of namespaces: of those that run, and of those that will be created.
`, true),
		a.metricsSwitch("disable", "disable metrics", `Stop Prometheus from scraping the sidecars of all pods of namespaces: of those that run, and of those that will be created.
`, false))
	return cmd
}

func (a *app) metricsSwitch(use, short, long string, enable bool) *cobra.Command {
	var namespaces []string
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long,
		Example: "  osm metrics " + use + " --namespace bookbuyer,bookstore\n",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cluster, err := a.Connect()
			if err != nil {
				return err
			}
			for _, ns := range namespaces {
				if err := a.switchMetrics(cmd.Context(), cluster.Kube, ns, enable); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringSliceVar(&namespaces, "namespace", nil, "one or more namespaces, separated by commas")
	// Only an absent flag makes this fail, and it is there.
	_ = cmd.MarkFlagRequired("namespace")
	return cmd
}

// switchMetrics switches the scraping of one namespace on or off. Once it has begun with a namespace, an interrupt does not
// leave half of its pods behind.
func (a *app) switchMetrics(ctx context.Context, kube kubernetes.Interface, ns string, enable bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancel()
	if err := memberOfSomeMesh(ctx, kube, ns); err != nil {
		return err
	}
	// Namespace first: a pod that is created meanwhile is then annotated by the injector.
	annotations := map[string]any{names.AnnotationMetrics: nil}
	if enable {
		annotations[names.AnnotationMetrics] = "enabled"
	}
	if err := patchNamespace(ctx, kube, ns, nil, annotations); err != nil {
		return fmt.Errorf("Could not change metrics of namespace [%s]: %w", ns, err)
	}
	if err := a.annotatePods(ctx, kube, ns, enable); err != nil {
		return err
	}
	word := "disabled"
	if enable {
		word = "enabled"
	}
	say(a.Out, "Metrics successfully %s in namespace [%s]\n", word, ns)
	return nil
}

// memberOfSomeMesh says why a namespace belongs to no mesh that exists.
func memberOfSomeMesh(ctx context.Context, kube kubernetes.Interface, ns string) error {
	namespace, err := kube.CoreV1().Namespaces().Get(ctx, ns, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("Could not get namespace [%s]: %w", ns, err)
	}
	name, member := namespace.Labels[names.LabelMonitoredBy]
	if !member {
		// It is a label; the text is what scripts know.
		return fmt.Errorf("Namespace [%s] does not belong to a mesh, missing annotation %q", ns, names.LabelMonitoredBy)
	}
	meshes, err := listMeshes(ctx, kube)
	if err != nil {
		return err
	}
	var known []string
	for _, m := range meshes {
		known = append(known, m.name)
	}
	if !slices.Contains(known, name) {
		return fmt.Errorf("Invalid mesh name %q of namespace [%s], must be one of %v; add the namespace to a mesh with \"osm namespace add\"", name, ns, known)
	}
	return nil
}

// annotatePods sends Prometheus to the sidecars of the namespace's pods, or gives the pods the annotations back that their
// owners wrote.
func (a *app) annotatePods(ctx context.Context, kube kubernetes.Interface, ns string, enable bool) error {
	pods, err := kube.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{LabelSelector: names.LabelProxyUUID})
	if err != nil {
		return fmt.Errorf("Could not list the pods of namespace [%s]: %w", ns, err)
	}
	for _, p := range pods.Items {
		if p.DeletionTimestamp != nil || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			continue
		}
		after := scrape.Withdraw(p.Annotations)
		if enable {
			var warnings []string
			after, warnings = scrape.Announce(p.Annotations, p.Spec.Containers)
			for _, w := range warnings {
				say(a.Err, "Warning: pod [%s] in namespace [%s]: %s\n", p.Name, ns, w)
			}
		}
		patch, err := scrapePatch(p.Annotations, after)
		if err != nil {
			return err
		}
		if _, err := kube.CoreV1().Pods(ns).Patch(ctx, p.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}); err != nil {
			return fmt.Errorf("Could not annotate pod [%s] in namespace [%s]: %w", p.Name, ns, err)
		}
	}
	return nil
}

// scrapePatch makes one set of annotations of another, as far as they are about scraping.
func scrapePatch(before, after map[string]string) ([]byte, error) {
	changes := map[string]any{}
	for _, key := range scrape.Keys {
		value, wanted := after[key]
		old, had := before[key]
		switch {
		case wanted && (!had || old != value):
			changes[key] = value
		case had && !wanted:
			changes[key] = nil
		}
	}
	return metadataPatch(nil, changes)
}
