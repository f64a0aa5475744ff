package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"openservicemesh.io/osm/internal/core/describe"
	"openservicemesh.io/osm/internal/core/meshid"
)

// describeOptions are the flags of the subcommands of `osm describe`.
type describeOptions struct {
	files  []string
	output listOutput
}

func (a *app) describeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "describe",
		Short: "say what the mesh does for a pod, a service or a TrafficTarget",
		Long:  "The subcommands of describe say who may call whom, how, and which objects say so.\n",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(
		a.describeOne("pod", "whom a pod may call and who may call it", a.describePod),
		a.describeOne("service", "the pods behind a service and who may call them", a.describeService),
		a.describeOne("target", "whom a TrafficTarget lets in, where, and whether the proxies have it", a.describeTarget))
	return cmd
}

func (a *app) describeOne(kind, short string, run func(context.Context, *meshView, describeOptions, podName) error) *cobra.Command {
	var o describeOptions
	cmd := &cobra.Command{
		Use:   kind + " NAMESPACE/NAME",
		Short: "say " + short,
		Long: "Say " + short + `, as the control plane compiles it from the objects of the cluster or, with -f, of
manifests.
`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.describe(cmd.Context(), o, args[0], run) },
	}
	cmd.Flags().StringArrayVarP(&o.files, "filename", "f", nil, "manifest, directory of manifests, or - for the standard input, in place of the cluster; may be repeated")
	o.output.flag(cmd.Flags())
	return cmd
}

func (a *app) describe(ctx context.Context, o describeOptions, name string, run func(context.Context, *meshView, describeOptions, podName) error) error {
	if err := o.output.check(); err != nil {
		return err
	}
	object, err := parsePod(name)
	if err != nil {
		return err
	}
	mesh, err := a.readMesh(ctx, o.files)
	if err != nil {
		return err
	}
	return run(ctx, mesh, o, object)
}

func (a *app) describePod(_ context.Context, mesh *meshView, o describeOptions, name podName) error {
	for _, p := range mesh.snap.Pods {
		if p.ID.Namespace != name.namespace || p.ID.Name != name.name {
			continue
		}
		d := describe.OfPod(mesh.view.Planner(), p)
		if written, err := o.output.write(a.Out, d); written || err != nil {
			return err
		}
		a.sayPod(d)
		a.sayFindingsAbout(mesh, name.namespace)
		return nil
	}
	return fmt.Errorf("pod %s is not a pod of the mesh; is its namespace in the mesh (osm namespace list)?", name)
}

func (a *app) describeService(_ context.Context, mesh *meshView, o describeOptions, name podName) error {
	svc := mesh.snap.Service(meshid.Service{Namespace: name.namespace, Name: name.name})
	if svc == nil {
		return fmt.Errorf("service %s is not a service of the mesh; is its namespace in the mesh (osm namespace list)?", name)
	}
	d := describe.OfService(mesh.view.Planner(), svc)
	if written, err := o.output.write(a.Out, d); written || err != nil {
		return err
	}
	say(a.Out, "Service %s\n", d.Name)
	a.sayList("addresses", d.Addresses)
	a.sayList("ports", d.Ports)
	a.sayList("service accounts", d.Identities)
	a.sayList("ready pods", d.Pods)
	a.sayList("split over", d.Split)
	a.sayAnswers(d.Answers)
	a.sayFindingsAbout(mesh, name.namespace)
	return nil
}

func (a *app) sayList(what string, list []string) {
	text := strings.Join(list, ", ")
	if text == "" {
		text = "none"
	}
	say(a.Out, "  %s: %s\n", what, text)
}

func (a *app) sayPod(d describe.Pod) {
	say(a.Out, "Pod %s\n", d.Name)
	say(a.Out, "  service account: %s (certificate %s)\n", d.Identity, d.Certificate)
	a.sayList("services", d.Services)
	if !d.Sidecar {
		say(a.Out, "  It has no sidecar, so none of what follows is in force; restart it.\n")
	}
	if len(d.MayCall) == 0 && !d.Passthrough {
		say(a.Out, "  may call: nothing; its connections are refused\n")
	} else {
		say(a.Out, "  may call:\n")
	}
	for _, to := range d.MayCall {
		say(a.Out, "    %s:%d (%s)%s\n", to.Name, to.Port, to.Protocol, shareWords(to.Shares))
	}
	if d.Passthrough {
		say(a.Out, "    anything outside of the mesh: egress is on\n")
	}
	a.sayAnswers(d.Answers)
}

func shareWords(list []describe.Share) string {
	if len(list) < 2 {
		return ""
	}
	var out []string
	for _, s := range list {
		out = append(out, fmt.Sprintf("%.0f %% %s", s.Percent, s.Cluster))
	}
	return ": " + strings.Join(out, ", ")
}

func (a *app) sayAnswers(list []describe.Port) {
	if len(list) == 0 {
		say(a.Out, "  may be called: on no port\n")
		return
	}
	say(a.Out, "  may be called:\n")
	for _, p := range list {
		say(a.Out, "    on port %d (%s, service %s)", p.Number, p.Protocol, p.Service)
		switch {
		case p.Anybody:
			say(a.Out, " by every pod of the mesh: permissive mode\n")
		case len(p.Callers) == 0:
			say(a.Out, " by nobody: no TrafficTarget\n")
		default:
			say(a.Out, "\n")
		}
		for _, c := range p.Callers {
			say(a.Out, "      by %s (TrafficTarget %s)", strings.Join(c.Principals, ", "), c.Policy)
			if len(c.Requests) > 0 {
				say(a.Out, ": %s", strings.Join(c.Requests, "; "))
			}
			say(a.Out, "\n")
		}
	}
}

// sayFindingsAbout prints the problems of objects of a namespace.
func (a *app) sayFindingsAbout(mesh *meshView, namespace string) {
	for _, f := range mesh.findings {
		if f.Object.Namespace == namespace {
			say(a.Out, "  ! %s\n", findingText(f))
		}
	}
}
