package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	access "openservicemesh.io/osm/api/smi/access/v1alpha3"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/policy/traffictarget"
)

func (a *app) policyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "manage and check traffic policies",
		Long:  "The subcommands of policy say what policies do.\n",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(a.policyCheckPodsCommand(), a.policyCheckConflictsCommand(), a.policyExplainCommand())
	return cmd
}

func (a *app) policyCheckPodsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check-pods SOURCE_POD DESTINATION_POD",
		Short: "check if one pod may call another",
		Long: `Say whether policy lets one pod call another: all pods may in permissive mode, and in SMI traffic policy mode those whose service
accounts a TrafficTarget names. Pods are <namespace>/<pod>, or <pod> in the namespace default.
`,
		Example: "  osm policy check-pods bookbuyer/bookbuyer-5ccf77f46d-rc5mg bookstore/bookstore-bbf7c8c8b-ndsqx\n",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			cluster, err := a.Connect()
			if err != nil {
				return err
			}
			return a.checkPods(cmd.Context(), cluster, args[0], args[1])
		},
	}
}

// podName is a pod as users write it.
type podName struct{ namespace, name string }

func (p podName) String() string { return p.namespace + "/" + p.name }

// parsePod reads <namespace>/<pod>, or <pod> in the namespace default.
func parsePod(s string) (podName, error) {
	namespace, name, qualified := strings.Cut(s, "/")
	if !qualified {
		namespace, name = metav1.NamespaceDefault, s
	}
	if namespace == "" || name == "" || strings.Contains(name, "/") {
		return podName{}, fmt.Errorf("invalid pod %q, must be <namespace>/<pod>, or <pod> in the namespace %s", s, metav1.NamespaceDefault)
	}
	return podName{namespace, name}, nil
}

// memberPod returns a pod that has a sidecar.
func memberPod(ctx context.Context, cluster *Cluster, s string) (podName, *corev1.Pod, error) {
	name, err := parsePod(s)
	if err != nil {
		return name, nil, err
	}
	pod, err := cluster.Kube.CoreV1().Pods(name.namespace).Get(ctx, name.name, metav1.GetOptions{})
	if err != nil {
		return name, nil, fmt.Errorf("Could not find pod %s in namespace %s", name.name, name.namespace)
	}
	if _, meshed := pod.Labels[names.LabelProxyUUID]; !meshed {
		return name, nil, fmt.Errorf("Pod %s in namespace %s is not a part of a mesh", name.name, name.namespace)
	}
	return name, pod, nil
}

func (a *app) checkPods(ctx context.Context, cluster *Cluster, src, dst string) error {
	from, source, err := memberPod(ctx, cluster, src)
	if err != nil {
		return err
	}
	to, destination, err := memberPod(ctx, cluster, dst)
	if err != nil {
		return err
	}
	config, err := readMeshConfig(ctx, cluster.Dynamic, a.namespace)
	if err != nil {
		return a.inNamespace(fmt.Errorf("Could not read MeshConfig %s: %w", names.MeshConfig, err))
	}
	if config.Spec.Traffic.EnablePermissiveTrafficPolicyMode {
		say(a.Out, "[+] Permissive mode enabled for mesh operated by osm-controller running in '%s' namespace\n\n"+
			" [+] Pod '%s' is allowed to communicate to pod '%s'\n", a.namespace, from, to)
		return nil
	}
	say(a.Out, "[+] SMI traffic policy mode enabled for mesh operated by osm-controller running in %s namespace\n\n", a.namespace)
	targets, err := readList[access.TrafficTarget](ctx, cluster.Dynamic, access.TrafficTargets, to.namespace)
	if err != nil {
		return fmt.Errorf("Could not list TrafficTargets in namespace %s: %w", to.namespace, err)
	}
	for _, target := range targets {
		if !grants(target, source, destination) {
			continue
		}
		text, err := yaml.Marshal(shown(target))
		if err != nil {
			return err
		}
		say(a.Out, " [+] Pod '%s' is allowed to communicate to pod '%s' via the SMI TrafficTarget policy %q in namespace %s\n%s\n",
			from, to, target.Name, target.Namespace, text)
		return nil
	}
	say(a.Out, " [+] Pod '%s' is not allowed to communicate to pod '%s', missing SMI TrafficTarget policy\n", from, to)
	return nil
}

// grants tells whether a TrafficTarget lets the service account of one pod call that of another, on some route. One that the
// control plane refuses, or that has no rules, grants nothing.
func grants(target *access.TrafficTarget, source, destination *corev1.Pod) bool {
	to := target.Spec.Destination
	if traffictarget.Validate(target) != nil || len(target.Spec.Rules) == 0 || !isServiceAccount(to, destination) {
		return false
	}
	for _, from := range target.Spec.Sources {
		if isServiceAccount(from, source) {
			return true
		}
	}
	return false
}

func isServiceAccount(s access.IdentityBindingSubject, pod *corev1.Pod) bool {
	account := pod.Spec.ServiceAccountName
	if account == "" {
		account = "default"
	}
	return s.Kind == "ServiceAccount" && s.Name == account && s.Namespace == pod.Namespace
}

// shown is a TrafficTarget as a user would write it.
func shown(target *access.TrafficTarget) map[string]any {
	return map[string]any{
		"apiVersion": access.GroupVersion.String(), "kind": access.KindTrafficTarget,
		"metadata": map[string]string{"name": target.Name, "namespace": target.Namespace},
		"spec":     target.Spec,
	}
}
