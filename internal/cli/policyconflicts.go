package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	policyv1 "openservicemesh.io/osm/api/policy/v1alpha1"
	"openservicemesh.io/osm/internal/core/policy/ingressbackend"
)

func (a *app) policyCheckConflictsCommand() *cobra.Command {
	var namespaces []string
	cmd := &cobra.Command{
		Use:   "check-conflicts RESOURCE_KIND",
		Short: "check if policies of a kind contradict one another",
		Long: `Say which objects of one kind in a namespace contradict one another. The kind is IngressBackend: two of them may not open the same
port of the same service.
`,
		Example: "  osm policy check-conflicts IngressBackend -n bookstore\n",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] != policyv1.KindIngressBackend {
				return fmt.Errorf("Invalid resource kind %s", args[0])
			}
			if len(namespaces) != 1 {
				return fmt.Errorf("Requires single namespace specified by '-n|--namespace' to check for conflicts, got %d", len(namespaces))
			}
			cluster, err := a.Connect()
			if err != nil {
				return err
			}
			return a.checkConflicts(cmd.Context(), cluster, namespaces[0])
		},
	}
	cmd.Flags().StringSliceVarP(&namespaces, "namespace", "n", nil, "the namespace to check")
	return cmd
}

func (a *app) checkConflicts(ctx context.Context, cluster *Cluster, namespace string) error {
	objects, err := readList[policyv1.IngressBackend](ctx, cluster.Dynamic, policyv1.IngressBackends, namespace)
	if err != nil {
		return fmt.Errorf("Error listing %s resources in namespace %s: %w", policyv1.KindIngressBackend, namespace, err)
	}
	found := false
	for i, o := range objects {
		// Each pair is told once, with the object of the lower name first.
		for _, text := range ingressbackend.Conflicts(o, objects[i+1:]) {
			say(a.Out, "%s", text)
			found = true
		}
	}
	if !found {
		say(a.Out, "No conflicts among %s resources in namespace %s\n", policyv1.KindIngressBackend, namespace)
	}
	return nil
}
