package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/version"
)

func (a *app) versionCommand() *cobra.Command {
	var clientOnly, versionOnly bool
	var output listOutput
	cmd := &cobra.Command{
		Use:   "version",
		Short: "osm cli and mesh version",
		Long: `Print the version of this command and of every mesh of the cluster. Nothing but the cluster is asked: no network beyond it is
needed.
`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := output.check(); err != nil {
				return err
			}
			if output.structured() {
				return a.versionStructured(cmd.Context(), clientOnly, output)
			}
			say(a.Out, "CLI Version: %#v\n", version.Get())
			if clientOnly {
				return nil
			}
			cluster, err := a.Connect()
			if err != nil {
				return err
			}
			return a.meshVersions(cmd.Context(), cluster)
		},
	}
	cmd.Flags().BoolVar(&clientOnly, "client-only", false, "only show the version of the osm command")
	cmd.Flags().BoolVar(&versionOnly, "version-only", false, "only show versions; kept for scripts, since no newer release is looked for anyway")
	output.flag(cmd.Flags())
	return cmd
}

// meshVersion is one mesh's version as -o json and yaml show it.
type meshVersion struct {
	Name         string `json:"name"`
	Namespace    string `json:"namespace"`
	version.Info `json:",inline"`
}

func (a *app) versionStructured(ctx context.Context, clientOnly bool, output listOutput) error {
	shown := struct {
		Client version.Info  `json:"client"`
		Meshes []meshVersion `json:"meshes"`
	}{version.Get(), []meshVersion{}}
	var failures []error
	if !clientOnly {
		cluster, err := a.Connect()
		if err != nil {
			return err
		}
		meshes, err := listMeshes(ctx, cluster.Kube)
		if err != nil {
			return fmt.Errorf("unable to list meshes within the cluster: %w", err)
		}
		for _, m := range meshes {
			info, err := remoteVersion(ctx, cluster, m.namespace)
			if err != nil {
				failures = append(failures, fmt.Errorf("Failed to get mesh version for mesh %s in namespace %s: %w", m.name, m.namespace, err))
				continue
			}
			shown.Meshes = append(shown.Meshes, meshVersion{m.name, m.namespace, info})
		}
	}
	if _, err := output.write(a.Out, shown); err != nil {
		return err
	}
	return errors.Join(failures...)
}

// meshVersions prints the table of meshes; meshes that do not answer are left out and told as one error at the end.
func (a *app) meshVersions(ctx context.Context, cluster *Cluster) error {
	meshes, err := listMeshes(ctx, cluster.Kube)
	if err != nil {
		return fmt.Errorf("unable to list meshes within the cluster: %w", err)
	}
	if len(meshes) == 0 {
		say(a.Out, "Unable to find OSM control plane in the cluster\n")
		return nil
	}
	var failures []error
	w := table(a.Out)
	say(w, "\nMESH NAME\tMESH NAMESPACE\tVERSION\tGIT COMMIT\tBUILD DATE\n")
	for _, m := range meshes {
		info, err := remoteVersion(ctx, cluster, m.namespace)
		if err != nil {
			failures = append(failures, fmt.Errorf("Failed to get mesh version for mesh %s in namespace %s: %w", m.name, m.namespace, err))
			continue
		}
		say(w, "%s\t%s\t%s\t%s\t%s\n", m.name, m.namespace, info.Version, info.GitCommit, info.BuildDate)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return errors.Join(failures...)
}

// remoteVersion asks a controller through the API server's pod proxy.
func remoteVersion(ctx context.Context, cluster *Cluster, namespace string) (version.Info, error) {
	var info version.Info
	pod, err := runningController(ctx, cluster.Kube, namespace)
	if err != nil {
		return info, err
	}
	body, err := cluster.Kube.CoreV1().Pods(namespace).
		ProxyGet("", pod, strconv.Itoa(names.PortControllerHTTP), "/version", nil).DoRaw(ctx)
	if err != nil {
		return info, fmt.Errorf("Error retrieving mesh version from pod [%s] in namespace [%s]: %w", pod, namespace, err)
	}
	if err := json.Unmarshal(body, &info); err != nil {
		return info, fmt.Errorf("the answer of pod [%s] in namespace [%s] is no version: %w", pod, namespace, err)
	}
	return info, nil
}

func (a *app) envCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "env",
		Short: "osm client environment information",
		Long:  "Print the configuration of the osm command: $OSM_CONFIG, or ~/.osm/config.yaml, or the defaults.\n",
		Args:  cobra.NoArgs,
		Run: func(*cobra.Command, []string) {
			say(a.Out, "--- \n%s\n", a.config.YAML())
		},
	}
}
