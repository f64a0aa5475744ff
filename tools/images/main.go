// Command images builds the project's container images as tars, or pushes
// them to a registry. It needs Go, and pip for Envoy, but no container engine.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"openservicemesh.io/osm/internal/version"
	"openservicemesh.io/osm/tools/images/imageset"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	err := newCommand().ExecuteContext(ctx)
	stop()
	if err != nil {
		os.Exit(1)
	}
}

// flags are shared by the commands.
type flags struct{ dir, registry, tag, cache string }

func newCommand() *cobra.Command {
	var f flags
	root := &cobra.Command{
		Use: "images", Short: "Build the container images, without a container engine",
		SilenceUsage: true, Args: cobra.NoArgs,
	}
	root.PersistentFlags().StringVarP(&f.dir, "output", "o", "out/images", "folder for tars and binaries")
	root.PersistentFlags().StringVar(&f.registry, "registry", "openservicemesh", "what image names are prefixed with")
	root.PersistentFlags().StringVar(&f.tag, "tag", version.Version, "tag of the images, and version stamped into the programs")
	root.PersistentFlags().StringVar(&f.cache, "cache", defaultCache(), "folder that keeps the Envoy download")
	root.AddCommand(f.buildCommand(), f.pushCommand(), f.listCommand(), f.envoyCommand())
	return root
}

func defaultCache() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "openservicemesh")
}

func (f *flags) options(ctx context.Context, names []string) (imageset.Options, error) {
	o := imageset.Options{Dir: f.dir, Registry: f.registry, Tag: f.tag, Cache: f.cache}
	var err error
	if o.Specs, err = imageset.Select(names); err != nil {
		return o, err
	}
	o.Module, err = imageset.FindModule(ctx, ".", f.tag)
	return o, err
}

func (f *flags) buildCommand() *cobra.Command {
	var arch string
	cmd := &cobra.Command{
		Use: "build [NAME...]", Short: "Write one tar per image, for `ctr -n k8s.io images import`; without names, those of the project and Envoy",
		RunE: func(cmd *cobra.Command, names []string) error {
			o, err := f.options(cmd.Context(), names)
			if err != nil {
				return err
			}
			o.Arch = arch
			built, err := imageset.Build(cmd.Context(), o)
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, b := range built {
				verb := "built"
				if b.Kept {
					verb = "kept"
				}
				_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%.1f MB\t%s\n", verb, b.Reference, b.Digest, float64(b.Size)/1e6, filepath.Join(o.Dir, b.Tar))
			}
			return w.Flush()
		},
	}
	cmd.Flags().StringVar(&arch, "arch", "amd64", "architecture: amd64 or arm64")
	return cmd
}

func (f *flags) pushCommand() *cobra.Command {
	var architectures []string
	var insecure bool
	cmd := &cobra.Command{
		Use: "push REGISTRY [NAME...]", Short: "Push the images to REGISTRY/NAME:TAG (all but Envoy, unless named)",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			names := args[1:]
			if len(names) == 0 {
				names = imageset.Pushable()
			}
			o, err := f.options(cmd.Context(), names)
			if err != nil {
				return err
			}
			o.Registry = args[0]
			pushed, err := imageset.Push(cmd.Context(), o, architectures, insecure)
			for _, p := range pushed {
				_, _ = fmt.Fprintf(cmd.OutOrStdout(), "pushed %s@%s\n", p.Reference, p.Digest)
			}
			return err
		},
	}
	cmd.Flags().StringSliceVar(&architectures, "arch", []string{"amd64"}, "architectures, separated by commas; several make a multi-architecture image")
	cmd.Flags().BoolVar(&insecure, "insecure", false, "allow plain HTTP")
	return cmd
}

func (f *flags) listCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the images", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			_, _ = fmt.Fprintln(w, "NAME\tREFERENCE\tPROGRAM\tUSER\tDESCRIPTION")
			for _, s := range append(imageset.All(), imageset.Peers()...) {
				_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", s.Name, s.Reference(f.registry, f.tag), s.Package, s.User, s.Description)
			}
			return w.Flush()
		},
	}
}

func (f *flags) envoyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "envoy-binary PATH", Short: "Write the pinned Envoy's binary to PATH", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return imageset.EnvoyBinary(cmd.Context(), f.cache, args[0])
		},
	}
}
