package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"openservicemesh.io/osm/internal/cli/bugreport"
	"openservicemesh.io/osm/internal/version"
)

func (a *app) bugReportCommand() *cobra.Command {
	var o bugreport.Options
	var outFile string
	cmd := &cobra.Command{
		Use:   "bug-report",
		Short: "generate bug report",
		Long: `Collect in one archive what somebody who helps needs to know: the control plane's state and logs, MeshConfig and policies, the input
that "osm x render" makes the configuration of every proxy from, and of chosen pods the state and logs of their sidecars.

Everything is read from the cluster's API with the rights of the kubeconfig's user; no other program is needed. Keys, tokens,
cookies and the contents of Secrets are left out, yet names, addresses and logs of applications are not: look at the archive
before you show it to others.
`,
		Example: `  osm support bug-report --all
  osm support bug-report --app-namespaces bookbuyer,bookstore
  osm support bug-report --app-pods bookbuyer/bookbuyer-5ccf77f46d-rc5mg --app-deployments bookstore/bookstore -o report.tar.gz
`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, name := range slices.Concat(o.Deployments, o.Pods) {
				if ns, rest, ok := strings.Cut(name, "/"); !ok || ns == "" || rest == "" {
					return fmt.Errorf("%q must be <namespace>/<name>", name)
				}
			}
			return a.bugReport(cmd.Context(), o, outFile)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.All, "all", false, "all pods that have a sidecar")
	f.StringSliceVar(&o.Namespaces, "app-namespaces", nil, "the pods of these namespaces that have a sidecar")
	f.StringSliceVar(&o.Deployments, "app-deployments", nil, "the pods of these deployments, <namespace>/<deployment>")
	f.StringSliceVar(&o.Pods, "app-pods", nil, "these pods, <namespace>/<pod>")
	f.BoolVar(&o.Ingress, "ingress", false, "the pods of ingress controllers too")
	f.StringVarP(&outFile, "out-file", "o", "", "the archive; by default a file in the folder for temporary files")
	return cmd
}

func (a *app) bugReport(ctx context.Context, o bugreport.Options, outFile string) error {
	cluster, err := a.Connect()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "osm_bug_report_*")
	if err != nil {
		return fmt.Errorf("Error creating staging dir: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if outFile == "" {
		outFile = filepath.Join(os.TempDir(), strings.TrimPrefix(filepath.Base(dir), "osm_bug_report_")+"_osm-bug-report.tar.gz")
	}
	o.OSMNamespace, o.Version = a.namespace, version.Get().Version
	world := bugreport.World{
		Kube: cluster.Kube, Dynamic: cluster.Dynamic,
		Get: func(ctx context.Context, namespace, pod string, port uint16, path string) ([]byte, error) {
			return whateverStatus(cluster.PodGet(ctx, PodPort{Namespace: namespace, Pod: pod, Port: port}, 0, path))
		},
	}
	return bugreport.Write(ctx, world, o, dir, outFile, a.Out)
}
