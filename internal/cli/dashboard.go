package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"runtime"
	"strconv"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

const (
	grafanaService = "osm-grafana"
	grafanaPort    = 3000
)

// dashboard is one run of osm dashboard.
type dashboard struct {
	localPort, remotePort uint16
	browser               bool
}

func (a *app) dashboardCommand() *cobra.Command {
	var d dashboard
	cmd := &cobra.Command{
		Use:   "dashboard",
		Short: "open grafana dashboard through ssh redirection",
		Long: `Forward a local port to the Grafana of the mesh and show it in the browser, until the command is interrupted. Grafana is there
when the mesh was installed with osm.deployGrafana=true.
`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cluster, err := a.Connect()
			if err != nil {
				return err
			}
			return a.dashboard(cmd.Context(), cluster, d)
		},
	}
	f := cmd.Flags()
	f.Uint16VarP(&d.localPort, "local-port", "p", grafanaPort, "local port of the dashboard")
	f.Uint16VarP(&d.remotePort, "remote-port", "r", grafanaPort, "port of Grafana in its pod")
	f.BoolVarP(&d.browser, "open-browser", "b", true, "open the dashboard in the browser")
	return cmd
}

func (a *app) dashboard(ctx context.Context, cluster *Cluster, d dashboard) error {
	say(a.Out, "[+] Starting Dashboard forwarding\n")
	service, err := cluster.Kube.CoreV1().Services(a.namespace).Get(ctx, grafanaService, metav1.GetOptions{})
	if err != nil {
		return a.inNamespace(fmt.Errorf("Failed to get OSM Grafana service data: %w", err))
	}
	list := metav1.ListOptions{LabelSelector: labels.Set(service.Spec.Selector).String()}
	pods, err := cluster.Kube.CoreV1().Pods(a.namespace).List(ctx, list)
	if err != nil {
		return a.inNamespace(fmt.Errorf("Failed to get OSM Grafana pod data: %w", err))
	}
	for _, p := range pods.Items {
		if p.Status.Phase != corev1.PodRunning || p.DeletionTimestamp != nil {
			continue
		}
		return cluster.Forward(ctx, PodPort{Namespace: a.namespace, Pod: p.Name, Port: d.remotePort}, d.localPort, func(local uint16) {
			a.show(ctx, local, d.browser)
		})
	}
	return a.inNamespace(errors.New("No running Grafana pod available"))
}

func (a *app) show(ctx context.Context, local uint16, browser bool) {
	at := "http://localhost:" + strconv.Itoa(int(local))
	if !browser {
		say(a.Err, "The dashboard is at %s until this command is interrupted\n", at)
		return
	}
	say(a.Out, "[+] Issuing open browser %s\n", at)
	if err := a.Browse(ctx, at); err != nil {
		say(a.Err, "No browser could be opened (%v); open %s in one\n", err, at)
	}
}

// inNamespace adds where a command looked, for users whose mesh is elsewhere.
func (a *app) inNamespace(err error) error {
	return fmt.Errorf("%w\nNote: The command failed when run in the OSM namespace [%[2]s].\nUse the global flag --osm-namespace if [%[2]s] is not the intended OSM namespace.",
		err, a.namespace)
}

// openBrowser asks the desktop to show a URL.
func openBrowser(ctx context.Context, at string) error {
	if _, err := url.Parse(at); err != nil {
		return err
	}
	switch runtime.GOOS {
	case "darwin":
		return exec.CommandContext(ctx, "open", at).Run()
	case "windows":
		return exec.CommandContext(ctx, "rundll32", "url.dll,FileProtocolHandler", at).Run()
	}
	return exec.CommandContext(ctx, "xdg-open", at).Run()
}
