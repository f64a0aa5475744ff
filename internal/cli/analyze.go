package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"openservicemesh.io/osm/internal/core/snapshot"
)

// analyzeOptions are the flags of `osm analyze`.
type analyzeOptions struct {
	files  []string
	strict bool
	output listOutput
}

func (a *app) analyzeCommand() *cobra.Command {
	var o analyzeOptions
	cmd := &cobra.Command{
		Use:   "analyze [-f DIR]",
		Short: "find what is wrong with policies, in a cluster or before they are applied to one",
		Long: `Read what the mesh reads, compile it as the control plane would, and print every problem that it would report: policies that are not
in force, that name what does not exist, that shadow each other. With -f manifests are read as if they were applied to a cluster.

The exit code is 1 if there is a problem of severity Error, so that a pipeline can refuse the change; with --strict, if there is any.
`,
		Example: "  osm analyze -f manifests/\n  osm analyze -o json\n",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.analyze(cmd.Context(), o) },
	}
	flags := cmd.Flags()
	flags.StringArrayVarP(&o.files, "filename", "f", nil, "manifest, directory of manifests, or - for the standard input, in place of the cluster; may be repeated")
	flags.BoolVar(&o.strict, "strict", false, "warnings count as errors")
	o.output.flag(flags)
	return cmd
}

func (a *app) analyze(ctx context.Context, o analyzeOptions) error {
	if err := o.output.check(); err != nil {
		return err
	}
	mesh, err := a.readMesh(ctx, o.files)
	if err != nil {
		return err
	}
	if err := a.sayFindings(o.output, mesh.findings); err != nil {
		return err
	}
	errs, warnings := 0, 0
	for _, f := range mesh.findings {
		if f.Severity == snapshot.Error {
			errs++
		} else {
			warnings++
		}
	}
	if errs > 0 || o.strict && warnings > 0 {
		return fmt.Errorf("%d errors, %d warnings", errs, warnings)
	}
	return nil
}

func (a *app) sayFindings(o listOutput, list []snapshot.Finding) error {
	if list == nil {
		list = []snapshot.Finding{}
	}
	if written, err := o.write(a.Out, list); written || err != nil {
		return err
	}
	if len(list) == 0 {
		say(a.Out, "No problems found.\n")
		return nil
	}
	w := table(a.Out)
	say(w, "SEVERITY\tREASON\tOBJECT\tMESSAGE\n")
	for _, f := range list {
		say(w, "%s\t%s\t%s\t%s\n", f.Severity, f.Reason, f.Object, f.Message)
	}
	return w.Flush()
}
