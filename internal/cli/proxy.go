package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"openservicemesh.io/osm/internal/core/names"
)

func (a *app) proxyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "proxy",
		Short: "manage sidecar proxy",
		Long:  "The subcommands of proxy talk to the sidecar of one pod.\n",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(a.proxyGetCommand(), a.proxySetCommand(), a.proxyStatusCommand())
	return cmd
}

// proxyQuery is one run of proxy get or proxy set.
type proxyQuery struct {
	query, pod, namespace, file string
	localPort                   uint16
	set                         bool
}

func (a *app) proxyGetCommand() *cobra.Command {
	return a.proxyQueryCommand(proxyQuery{}, &cobra.Command{
		Use:   "get QUERY POD",
		Short: "get query for proxy",
		Long: `Ask the sidecar of a pod something over its admin interface and print the answer as it is. Queries are the paths of Envoy's
admin interface: config_dump, clusters, listeners, certs, stats, stats/prometheus, ready and others.
`,
		Example: `  osm proxy get config_dump bookbuyer-5ccf77f46d-rc5mg -n bookbuyer
  osm proxy get clusters bookbuyer-5ccf77f46d-rc5mg -n bookbuyer -f clusters.txt
`,
	})
}

func (a *app) proxySetCommand() *cobra.Command {
	return a.proxyQueryCommand(proxyQuery{set: true}, &cobra.Command{
		Use:   "set QUERY POD",
		Short: "set query for proxy",
		Long: `Tell the sidecar of a pod something over its admin interface and print the answer as it is. Queries are the paths of Envoy's
admin interface that change something: reset_counters, logging?level=debug, drain_listeners, quitquitquit and others.
`,
		Example: `  osm proxy set reset_counters bookbuyer-5ccf77f46d-rc5mg -n bookbuyer
  osm proxy set "logging?level=debug" bookbuyer-5ccf77f46d-rc5mg -n bookbuyer
`,
	})
}

func (a *app) proxyQueryCommand(q proxyQuery, cmd *cobra.Command) *cobra.Command {
	cmd.Args = cobra.ExactArgs(2)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		q.query, q.pod = args[0], args[1]
		cluster, err := a.Connect()
		if err != nil {
			return err
		}
		return a.askProxy(cmd.Context(), cluster, q)
	}
	flags := cmd.Flags()
	flags.StringVarP(&q.namespace, "namespace", "n", metav1.NamespaceDefault, "namespace of the pod")
	flags.StringVarP(&q.file, "file", "f", "", "write the answer to this file")
	flags.Uint16VarP(&q.localPort, "local-port", "p", names.PortEnvoyAdmin, "local port for the port-forward to the sidecar")
	return cmd
}

// meshedPod returns a running pod that has a sidecar.
func meshedPod(ctx context.Context, kube kubernetes.Interface, namespace, name string) (*corev1.Pod, error) {
	pod, err := kube.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("error getting pod %s/%s: %w", namespace, name, err)
	}
	if _, meshed := pod.Labels[names.LabelProxyUUID]; !meshed {
		return nil, fmt.Errorf("pod %s/%s is not a part of a mesh", namespace, name)
	}
	if pod.Status.Phase != corev1.PodRunning {
		return nil, fmt.Errorf("pod %s/%s is not running", namespace, name)
	}
	return pod, nil
}

func (a *app) askProxy(ctx context.Context, cluster *Cluster, q proxyQuery) error {
	if _, err := meshedPod(ctx, cluster.Kube, q.namespace, q.pod); err != nil {
		return err
	}
	ask := cluster.PodGet
	if q.set {
		ask = cluster.PodPost
	}
	body, err := whateverStatus(ask(ctx, PodPort{Namespace: q.namespace, Pod: q.pod, Port: names.PortEnvoyAdmin}, q.localPort, q.query))
	if err != nil && q.set {
		return fmt.Errorf("Error sending query to proxy of pod %s in namespace %s: %w", q.pod, q.namespace, err)
	}
	if err != nil {
		return fmt.Errorf("Error retrieving proxy config for pod %s in namespace %s: %w", q.pod, q.namespace, err)
	}
	if q.file == "" {
		_, err = a.Out.Write(body)
		return err
	}
	if err := writeWhole(q.file, func(f *os.File) error { _, err := f.Write(body); return err }); err != nil {
		return fmt.Errorf("Error opening file %s: %w", q.file, err)
	}
	return nil
}

// whateverStatus takes what Envoy says for the answer, whatever its status: "ready" answers 503 with the state a proxy is in.
func whateverStatus(body []byte, err error) ([]byte, error) {
	var refused *statusError
	if errors.As(err, &refused) {
		return refused.body, nil
	}
	return body, err
}
