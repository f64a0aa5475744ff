package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"openservicemesh.io/osm/internal/core/check"
)

// checkOptions are the flags of `osm check`.
type checkOptions struct {
	meshName string
	before   bool
	wait     time.Duration
	output   listOutput
}

// checkPause is the time between two looks of --wait.
const checkPause = 2 * time.Second

func (a *app) checkCommand() *cobra.Command {
	var o checkOptions
	cmd := &cobra.Command{
		Use:   "check",
		Short: "say whether the mesh is healthy and, if not, what to do",
		Long: `Look at everything the mesh needs: the cluster, the control plane, webhooks and certificates, sidecars and policies. For each
thing that is not as it should be, say what is and what to do. Nothing is changed.

The exit code is 1 if anything is wrong that keeps the mesh or a part of it from working. docs/guides/check.md explains every check.
`,
		Example: "  osm check --pre\n  osm check --wait 2m\n  osm check -o json\n",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.output.check(); err != nil {
				return err
			}
			cluster, err := a.Connect()
			if err != nil {
				return err
			}
			return a.check(cmd.Context(), cluster, o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.meshName, "mesh-name", "", "name of the mesh; by default the one in the namespace of --osm-namespace")
	flags.BoolVar(&o.before, "pre", false, "look at what an installation needs, before there is a mesh")
	flags.DurationVar(&o.wait, "wait", 0, "look again until nothing is wrong any more, at most this long")
	o.output.flag(flags)
	return cmd
}

func (a *app) check(ctx context.Context, cluster *Cluster, o checkOptions) error {
	results, err := a.checkUntil(ctx, cluster, o)
	if err != nil {
		return err
	}
	if written, err := o.output.write(a.Out, results); err != nil {
		return err
	} else if !written {
		a.sayResults(results, o.output.wide())
	}
	errs, warnings := 0, 0
	for _, r := range results {
		switch r.Level {
		case check.Error:
			errs++
		case check.Warning:
			warnings++
		}
	}
	if errs > 0 {
		return fmt.Errorf("%d errors, %d warnings", errs, warnings)
	}
	return nil
}

// checkUntil looks once or, with --wait, until nothing is wrong any more.
func (a *app) checkUntil(ctx context.Context, cluster *Cluster, o checkOptions) ([]check.Result, error) {
	deadline := time.Now().Add(o.wait)
	for {
		facts, err := a.facts(ctx, cluster, o)
		if err != nil {
			return nil, err
		}
		results := check.Run(facts)
		if check.Worst(results) != check.Error || time.Now().Add(checkPause).After(deadline) {
			return results, nil
		}
		a.debugf("%d results are errors; looking again", len(results))
		select {
		case <-ctx.Done():
			return nil, errors.Join(errors.New("interrupted while waiting"), ctx.Err())
		case <-time.After(checkPause):
		}
	}
}

// Marks and colours of results, as terminals show them.
var (
	checkMarks   = map[check.Level]string{check.OK: "√", check.Warning: "‼", check.Error: "×"}
	checkColours = map[check.Level]string{check.OK: "\x1b[32m", check.Warning: "\x1b[33m", check.Error: "\x1b[31m"}
)

func (a *app) sayResults(results []check.Result, wide bool) {
	area := check.Area("")
	for _, r := range results {
		if r.Area != area {
			area = r.Area
			say(a.Out, "%s\n", area)
		}
		mark := checkMarks[r.Level]
		if a.colours() {
			mark = checkColours[r.Level] + mark + "\x1b[0m"
		}
		if r.Level == check.OK {
			id := ""
			if wide {
				id = " [" + r.ID + "]"
			}
			say(a.Out, "  %s %s%s\n", mark, r.Message, id)
			continue
		}
		say(a.Out, "  %s %s: %s [%s]\n      to do: %s\n", mark, r.Object, r.Message, r.ID, r.Cure)
	}
	switch check.Worst(results) {
	case check.OK:
		say(a.Out, "\nEverything is as it should be.\n")
	case check.Warning:
		say(a.Out, "\nThe mesh works. Look at the warnings.\n")
	}
}
