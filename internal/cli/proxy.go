package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"openservicemesh.io/osm/internal/core/names"
)

func (a *app) proxyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "proxy",
		Short: "manage sidecar proxy",
		Long:  "The subcommands of proxy talk to the sidecar of one pod.\n",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(a.proxyGetCommand())
	return cmd
}

// proxyGet is one run of proxy get.
type proxyGet struct {
	query, pod, namespace, file string
	localPort                   uint16
}

func (a *app) proxyGetCommand() *cobra.Command {
	var g proxyGet
	cmd := &cobra.Command{
		Use:   "get QUERY POD",
		Short: "get query for proxy",
		Long: `Ask the sidecar of a pod something over its admin interface and print the answer as it is. Queries are the paths of Envoy's
admin interface: config_dump, clusters, listeners, certs, stats, stats/prometheus, ready and others.
`,
		Example: `  osm proxy get config_dump bookbuyer-5ccf77f46d-rc5mg -n bookbuyer
  osm proxy get clusters bookbuyer-5ccf77f46d-rc5mg -n bookbuyer -f clusters.txt
`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			g.query, g.pod = args[0], args[1]
			cluster, err := a.Connect()
			if err != nil {
				return err
			}
			return a.proxyGet(cmd.Context(), cluster, g)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&g.namespace, "namespace", "n", metav1.NamespaceDefault, "namespace of the pod")
	flags.StringVarP(&g.file, "file", "f", "", "write the answer to this file")
	flags.Uint16VarP(&g.localPort, "local-port", "p", names.PortEnvoyAdmin, "local port for the port-forward to the sidecar")
	return cmd
}

func (a *app) proxyGet(ctx context.Context, cluster *Cluster, g proxyGet) error {
	pod, err := cluster.Kube.CoreV1().Pods(g.namespace).Get(ctx, g.pod, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("error getting pod %s/%s: %w", g.namespace, g.pod, err)
	}
	if _, meshed := pod.Labels[names.LabelProxyUUID]; !meshed {
		return fmt.Errorf("pod %s/%s is not a part of a mesh", g.namespace, g.pod)
	}
	if pod.Status.Phase != corev1.PodRunning {
		return fmt.Errorf("pod %s/%s is not running", g.namespace, g.pod)
	}
	target := PodPort{Namespace: g.namespace, Pod: g.pod, Port: names.PortEnvoyAdmin}
	body, err := cluster.PodGet(ctx, target, g.localPort, g.query)
	// What Envoy says is the answer, whatever its status: "ready" answers 503 with the state a proxy is in.
	var refused *statusError
	if errors.As(err, &refused) {
		body, err = refused.body, nil
	}
	if err != nil {
		return fmt.Errorf("Error retrieving proxy config for pod %s in namespace %s: %w", g.pod, g.namespace, err)
	}
	if g.file == "" {
		_, err = a.Out.Write(body)
		return err
	}
	// A configuration dump names what a pod may call: nobody else's business on a shared machine.
	if err := os.WriteFile(g.file, body, 0o600); err != nil {
		return fmt.Errorf("Error opening file %s: %w", g.file, err)
	}
	return nil
}
