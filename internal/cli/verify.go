package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	policyv1 "openservicemesh.io/osm/api/policy/v1alpha1"
	"openservicemesh.io/osm/internal/cli/verify"
	"openservicemesh.io/osm/internal/core/names"
)

func (a *app) verifyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "verify mesh configurations",
		Long: `The subcommands of verify look whether pods hold the configuration that a call needs, and say what to do when they do not. Their
exit code is 0 whatever they find.
`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(a.verifyConnectivityCommand(), a.verifyIngressCommand(), a.verifyEgressCommand(), a.verifyHealthCommand())
	return cmd
}

// printVerdict prints the result of a verification.
func (a *app) printVerdict(r verify.Result) { verify.Print(a.Out, r, a.colours()) }

// qualified reads <namespace>/<name>.
func qualified(flag, s string) (verify.Name, error) {
	namespace, name, ok := strings.Cut(s, "/")
	if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		return verify.Name{}, fmt.Errorf("--%s is %q, must be <namespace>/<name>", flag, s)
	}
	return verify.Name{Namespace: namespace, Name: name}, nil
}

// serviceIn reads <name>, a service in a namespace, or <namespace>/<name>.
func serviceIn(flag, s, namespace string) (verify.Name, error) {
	if !strings.Contains(s, "/") {
		s = namespace + "/" + s
	}
	return qualified(flag, s)
}

// verification are the flags of verify connectivity and verify egress.
type verification struct {
	from, to, service, protocol, host, meshName string
	port                                        uint16
}

func (a *app) verifyConnectivityCommand() *cobra.Command {
	var v verification
	cmd := &cobra.Command{
		Use:   "connectivity",
		Short: "verify connectivity between a pod and a destination",
		Long: `Verify that the sidecars of two pods hold the configuration for calls from one to the other by a service, or that the sidecar of a
pod holds the configuration for calls to a port outside of the mesh.
`,
		Example: `  osm verify connectivity --from-pod curl/curl-7bb5845476-zwxbt --to-pod httpbin/httpbin-69dc7d545c-n7pjb --to-service httpbin
  osm verify connectivity --from-pod curl/curl-7bb5845476-zwxbt --to-ext-port 80 --to-ext-host httpbin.org
`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.verifyConnectivity(cmd.Context(), v) },
	}
	f := cmd.Flags()
	f.StringVar(&v.from, "from-pod", "", "the calling pod, <namespace>/<name>")
	f.StringVar(&v.to, "to-pod", "", "the called pod, <namespace>/<name>")
	f.StringVar(&v.service, "to-service", "", "the called service: <name> in the namespace of the called pod, or <namespace>/<name>")
	f.StringVar(&v.protocol, "app-protocol", "http", "what the application speaks")
	f.Uint16Var(&v.port, "to-ext-port", 0, "the called port outside of the mesh")
	f.StringVar(&v.host, "to-ext-host", "", "the called host outside of the mesh")
	f.StringVar(&v.meshName, "mesh-name", names.DefaultMeshName, "name of the mesh")
	_ = cmd.MarkFlagRequired("from-pod")
	return cmd
}

func (a *app) verifyEgressCommand() *cobra.Command {
	var v verification
	cmd := &cobra.Command{
		Use:   "egress",
		Short: "verify connectivity between a pod and a destination outside of the mesh",
		Long: `Verify that the sidecar of a pod holds the configuration for calls to a port outside of the mesh; the same as verify connectivity
with --to-ext-port.
`,
		Example: "  osm verify egress --from-pod curl/curl-7bb5845476-zwxbt --to-ext-port 443 --app-protocol https\n",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.verifyConnectivity(cmd.Context(), v) },
	}
	f := cmd.Flags()
	f.StringVar(&v.from, "from-pod", "", "the calling pod, <namespace>/<name>")
	f.StringVar(&v.protocol, "app-protocol", "http", "what the application speaks")
	f.Uint16Var(&v.port, "to-ext-port", 0, "the called port outside of the mesh")
	f.StringVar(&v.host, "to-ext-host", "", "the called host outside of the mesh")
	f.StringVar(&v.meshName, "mesh-name", names.DefaultMeshName, "name of the mesh")
	_ = cmd.MarkFlagRequired("from-pod")
	_ = cmd.MarkFlagRequired("to-ext-port")
	return cmd
}

func (a *app) verifyConnectivity(ctx context.Context, v verification) error {
	from, err := qualified("from-pod", v.from)
	if err != nil {
		return err
	}
	switch {
	case v.to == "" && v.port == 0:
		return errors.New("one of --to-pod and --to-ext-port must say what is called")
	case v.to != "" && v.port != 0:
		return errors.New("--to-pod and --to-ext-port both say what is called: give only one of the two")
	case v.to != "" && v.service == "":
		return errors.New("--to-service must say by which service the pod is called")
	}
	if v.port != 0 {
		cluster, err := a.Connect()
		if err != nil {
			return err
		}
		a.printVerdict(verify.Egress(ctx, a.verifyWorld(cluster, v.meshName), from, verify.External{Host: v.host, Port: v.port, Protocol: strings.ToLower(v.protocol)}))
		return nil
	}
	to, err := qualified("to-pod", v.to)
	if err != nil {
		return err
	}
	service, err := serviceIn("to-service", v.service, to.Namespace)
	if err != nil {
		return err
	}
	cluster, err := a.Connect()
	if err != nil {
		return err
	}
	a.printVerdict(verify.Connectivity(ctx, a.verifyWorld(cluster, v.meshName), verify.Call{From: from, To: to, Service: service, Protocol: v.protocol}))
	return nil
}

func (a *app) verifyIngressCommand() *cobra.Command {
	var from, to, meshName string
	var call verify.IngressCall
	cmd := &cobra.Command{
		Use:   "ingress",
		Short: "verify connectivity between an ingress service and a pod",
		Long: `Verify that an IngressBackend lets an ingress controller call a pod, and that the pod's sidecar holds the configuration for it.
`,
		Example: `  osm verify ingress --from-service ingress-nginx/ingress-nginx-controller --to-pod httpbin/httpbin-69dc7d545c-n7pjb \
    --to-service httpbin --to-port 14001 --ingress-backend httpbin
`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if call.From, err = qualified("from-service", from); err != nil {
				return err
			}
			if call.To, err = qualified("to-pod", to); err != nil {
				return err
			}
			cluster, err := a.Connect()
			if err != nil {
				return err
			}
			a.printVerdict(verify.Ingress(cmd.Context(), a.verifyWorld(cluster, meshName), call))
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&from, "from-service", "", "the ingress controller's service, <namespace>/<name>")
	f.StringVar(&to, "to-pod", "", "the called pod, <namespace>/<name>")
	f.StringVar(&call.Service, "to-service", "", "the called service, in the namespace of the called pod")
	f.StringVar(&call.Backend, "ingress-backend", "", "the IngressBackend, in the namespace of the called pod")
	f.Uint16Var(&call.Port, "to-port", 0, "the called port of the pod")
	f.StringVar(&call.Protocol, "app-protocol", "http", "what the application speaks; only http is verified")
	f.StringVar(&meshName, "mesh-name", names.DefaultMeshName, "name of the mesh")
	for _, flag := range []string{"from-service", "to-pod", "to-service", "ingress-backend", "to-port"} {
		_ = cmd.MarkFlagRequired(flag)
	}
	return cmd
}

func (a *app) verifyHealthCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "control-plane-health",
		Short: "verify the health of the control plane",
		Long:  "Verify that the pods of the control plane are ready and that their health pages say so.\n",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cluster, err := a.Connect()
			if err != nil {
				return err
			}
			a.printVerdict(verify.ControlPlaneHealth(cmd.Context(), a.verifyWorld(cluster, "")))
			return nil
		},
	}
}

// verifyWorld is where the verifications look: the cluster.
func (a *app) verifyWorld(c *Cluster, meshName string) verify.World {
	core := c.Kube.CoreV1()
	get := metav1.GetOptions{}
	return verify.World{
		MeshName: cmp.Or(meshName, names.DefaultMeshName), Namespace: a.namespace,
		GetNamespace: func(ctx context.Context, name string) (*corev1.Namespace, error) {
			return core.Namespaces().Get(ctx, name, get)
		},
		GetPod: func(ctx context.Context, ns, name string) (*corev1.Pod, error) {
			return core.Pods(ns).Get(ctx, name, get)
		},
		GetService: func(ctx context.Context, ns, name string) (*corev1.Service, error) {
			return core.Services(ns).Get(ctx, name, get)
		},
		GetIngressBackend: func(ctx context.Context, ns, name string) (*policyv1.IngressBackend, error) {
			item, err := c.Dynamic.Resource(policyv1.IngressBackends).Namespace(ns).Get(ctx, name, get)
			if err != nil {
				return nil, err
			}
			out := &policyv1.IngressBackend{}
			return out, runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, out)
		},
		PodsOfApp: func(ctx context.Context, app string) ([]corev1.Pod, error) {
			return a.livePods(ctx, c, a.namespace, selector(names.LabelApp, app))
		},
		PodsOfService: func(ctx context.Context, s *corev1.Service) ([]corev1.Pod, error) {
			if len(s.Spec.Selector) == 0 {
				return nil, nil
			}
			return a.livePods(ctx, c, s.Namespace, metav1.ListOptions{LabelSelector: labels.Set(s.Spec.Selector).String()})
		},
		Dump: func(ctx context.Context, ns, pod string) ([]byte, error) {
			return c.PodGet(ctx, PodPort{Namespace: ns, Pod: pod, Port: names.PortEnvoyAdmin}, 0, "config_dump?include_eds")
		},
		Probe: func(ctx context.Context, ns, pod, path string) error {
			_, err := c.PodGet(ctx, PodPort{Namespace: ns, Pod: pod, Port: a.controlPlanePort(ctx, c, ns, pod)}, 0, path)
			return err
		},
	}
}

// livePods lists pods that are not on their way out.
func (a *app) livePods(ctx context.Context, c *Cluster, ns string, opts metav1.ListOptions) ([]corev1.Pod, error) {
	list, err := c.Kube.CoreV1().Pods(ns).List(ctx, opts)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil || p.Status.Phase == corev1.PodSucceeded }), nil
}

// controlPlanePort is the port of a control-plane pod's health page: a managed installation moves that of osm-bootstrap, and
// names it in the arguments.
func (a *app) controlPlanePort(ctx context.Context, c *Cluster, ns, name string) uint16 {
	pod, err := c.Kube.CoreV1().Pods(ns).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return names.PortControllerHTTP
	}
	for _, container := range pod.Spec.Containers {
		for _, arg := range slices.Concat(container.Command, container.Args) {
			var port uint16
			if n, _ := fmt.Sscanf(arg, "--http-port=%d", &port); n == 1 {
				return port
			}
		}
	}
	return names.PortControllerHTTP
}
