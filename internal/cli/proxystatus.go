package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"openservicemesh.io/osm/internal/adminapi"
	"openservicemesh.io/osm/internal/core/names"
)

// proxyTypes are the types of resources, in the order Envoy asks for them.
var proxyTypes = []string{"CDS", "EDS", "LDS", "RDS", "SDS"}

// proxyStatus is one sidecar and how far it is.
type proxyStatus struct {
	adminapi.Proxy
	// Controller is the replica it is connected to; empty when it is connected to none.
	Controller string `json:"controller,omitempty"`
	// Connected is whether a running replica serves it.
	Connected bool `json:"connected"`
}

func (a *app) proxyStatusCommand() *cobra.Command {
	var output listOutput
	cmd := &cobra.Command{
		Use:   "status [NAMESPACE/POD]",
		Short: "show which sidecars have the configuration they should have",
		Long: `Ask every replica of the controller which sidecars it serves and how far they are: SYNCED (it has acknowledged all it was sent),
STALE (an answer is awaited), REJECTED (it refused something and keeps what it had before; the reason is printed below).
Sidecars that no replica serves are listed as NOT CONNECTED. No sidecar is asked anything.
`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := output.check(); err != nil {
				return err
			}
			cluster, err := a.Connect()
			if err != nil {
				return err
			}
			return a.proxyStatus(cmd.Context(), cluster, output, strings.Join(args, ""))
		},
	}
	output.flag(cmd.Flags())
	return cmd
}

func (a *app) proxyStatus(ctx context.Context, cluster *Cluster, output listOutput, only string) error {
	list, err := a.proxyStatuses(ctx, cluster)
	if err != nil {
		return err
	}
	if only != "" {
		pod, err := parsePod(only)
		if err != nil {
			return err
		}
		list = slices.DeleteFunc(list, func(p proxyStatus) bool { return p.Namespace != pod.namespace || p.Pod != pod.name })
		if len(list) == 0 {
			return fmt.Errorf("pod %s has no sidecar of the mesh whose control plane is in namespace %s", pod, a.namespace)
		}
	}
	if list == nil {
		list = []proxyStatus{}
	}
	if written, err := output.write(a.Out, list); written || err != nil {
		return err
	}
	return a.sayProxies(list, output.wide())
}

// proxyStatuses asks every replica, and adds the pods that have a sidecar which none serves.
func (a *app) proxyStatuses(ctx context.Context, cluster *Cluster) ([]proxyStatus, error) {
	served, err := a.servedProxies(ctx, cluster)
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, p := range served {
		known[p.Namespace+"/"+p.Pod] = true
	}
	pods, err := cluster.Kube.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{LabelSelector: names.LabelProxyUUID})
	if err != nil {
		return nil, fmt.Errorf("cannot list the pods with a sidecar: %w", err)
	}
	for _, p := range pods.Items {
		over := p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
		if !known[p.Namespace+"/"+p.Name] && !over && p.DeletionTimestamp == nil {
			served = append(served, proxyStatus{Proxy: adminapi.Proxy{Namespace: p.Namespace, Pod: p.Name,
				Identity: p.Spec.ServiceAccountName + "." + p.Namespace}})
		}
	}
	slices.SortFunc(served, func(x, y proxyStatus) int {
		return cmp.Or(cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Pod, y.Pod), y.Since.Compare(x.Since))
	})
	return served, nil
}

func (a *app) servedProxies(ctx context.Context, cluster *Cluster) ([]proxyStatus, error) {
	pages, err := a.controllerPages(ctx, cluster)
	var out []proxyStatus
	for _, served := range pages {
		for _, p := range served.page.Proxies {
			out = append(out, proxyStatus{Proxy: p, Controller: served.replica, Connected: true})
		}
	}
	return out, err
}

// controllerPage is what one replica of the controller tells.
type controllerPage struct {
	replica string
	page    adminapi.Proxies
}

// controllerPages asks every replica. There may be pages beside an error.
func (a *app) controllerPages(ctx context.Context, cluster *Cluster) ([]controllerPage, error) {
	replicas, err := cluster.Kube.CoreV1().Pods(a.namespace).List(ctx, selector(names.LabelApp, names.Controller))
	if err != nil {
		return nil, fmt.Errorf("cannot list the controller's pods in namespace %s: %w", a.namespace, err)
	}
	var out []controllerPage
	var failed []error
	asked := 0
	for i := range replicas.Items {
		replica := &replicas.Items[i]
		if replica.Status.Phase != corev1.PodRunning || replica.DeletionTimestamp != nil {
			continue
		}
		asked++
		page, err := proxiesOf(ctx, cluster, replica)
		if err != nil {
			failed = append(failed, fmt.Errorf("ask %s/%s: %w", replica.Namespace, replica.Name, err))
			continue
		}
		out = append(out, controllerPage{replica.Name, page})
	}
	if asked == 0 {
		return nil, fmt.Errorf("no controller runs in namespace %s; name the control plane's with --osm-namespace", a.namespace)
	}
	return out, errors.Join(failed...)
}

func proxiesOf(ctx context.Context, cluster *Cluster, replica *corev1.Pod) (adminapi.Proxies, error) {
	var page adminapi.Proxies
	target := PodPort{Namespace: replica.Namespace, Pod: replica.Name, Port: names.PortControllerAdmin}
	text, err := cluster.PodGet(ctx, target, 0, strings.TrimPrefix(adminapi.PathProxies, "/"))
	if err != nil {
		return page, err
	}
	return page, json.Unmarshal(text, &page)
}

func (a *app) sayProxies(list []proxyStatus, wide bool) error {
	if len(list) == 0 {
		say(a.Out, "No pod has a sidecar.\n")
		return nil
	}
	w := table(a.Out)
	say(w, "POD\tSERVICE ACCOUNT\t%s\tCONTROLLER\tSINCE", strings.Join(proxyTypes, "\t"))
	if wide {
		say(w, "\tGENERATION\tACKNOWLEDGED")
	}
	say(w, "\n")
	for _, p := range list {
		say(w, "%s/%s\t%s\t", p.Namespace, p.Pod, p.Identity)
		for _, t := range proxyTypes {
			say(w, "%s\t", p.state(t, wide))
		}
		say(w, "%s\t%s", cmp.Or(p.Controller, "-"), since(p.Since))
		if wide {
			say(w, "\t%d\t%d", p.Generation, p.Acked)
		}
		say(w, "\n")
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, p := range list {
		for _, r := range p.Rejections {
			say(a.Out, "\n%s/%s refuses %s: %s\n", p.Namespace, p.Pod, r.Name, r.Message)
		}
	}
	return nil
}

func (p proxyStatus) state(name string, wide bool) string {
	t, ok := p.Types[name]
	switch {
	case !p.Connected:
		return "NOT CONNECTED"
	case !ok:
		return "BUSY"
	case wide:
		return fmt.Sprintf("%s (%d)", t.State, t.Resources)
	}
	return t.State
}

func since(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return duration.HumanDuration(time.Since(t))
}
