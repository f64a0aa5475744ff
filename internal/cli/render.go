package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/snapshot"
	"openservicemesh.io/osm/internal/kube/manifests"
	"openservicemesh.io/osm/internal/render"
)

func (a *app) experimentalCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "x",
		Short: "Experimental and diagnostic commands",
		Long:  "Commands that may change or go from one version to the next.\n",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(a.renderCommand())
	return cmd
}

// renderOptions are the flags of `osm x render`.
type renderOptions struct {
	files       []string
	proxy       string
	output      string
	trustDomain string
}

func (a *app) renderCommand() *cobra.Command {
	var o renderOptions
	cmd := &cobra.Command{
		Use:   "render -f DIR [--proxy SERVICEACCOUNT.NAMESPACE] [-o ir|envoy]",
		Short: "show what manifests make of a proxy",
		Long: `Read manifests as if they were applied to a cluster and print what the mesh makes of them for one proxy: its plan (-o ir)
or its Envoy resources (-o envoy). Problems of the manifests go to the standard error output. Nothing is asked of a cluster.
Without --proxy the proxies there are get listed.
`,
		Example: `  osm x render -f manifests/ --proxy bookbuyer.bookbuyer
  kubectl get ns,svc,pods,endpointslices,traffictargets,httproutegroups,meshconfig -A -o yaml | osm x render -f - --proxy bookbuyer.bookbuyer -o envoy`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.render(o) },
	}
	flags := cmd.Flags()
	flags.StringArrayVarP(&o.files, "filename", "f", nil, "manifest, directory of manifests, or - for the standard input; may be repeated")
	flags.StringVar(&o.proxy, "proxy", "", "<serviceaccount>.<namespace> or <namespace>/<pod>")
	flags.StringVarP(&o.output, "output", "o", "ir", "ir: the plan; envoy: the Envoy resources")
	flags.StringVar(&o.trustDomain, "trust-domain", names.DefaultTrustDomain, "last part of the names in certificates")
	return cmd
}

func (a *app) render(o renderOptions) error {
	if len(o.files) == 0 {
		return errors.New("no manifests given; use -f DIR, -f FILE or -f - for the standard input")
	}
	if !slices.Contains([]string{"ir", "envoy"}, o.output) {
		return fmt.Errorf("-o %q is not known; use ir or envoy", o.output)
	}
	read, err := manifests.Load(o.files, a.In, manifests.Options{TrustDomain: meshid.TrustDomain(o.trustDomain)})
	if err != nil {
		return err
	}
	if len(read.Skipped) > 0 {
		a.debugf("the mesh has no use for objects of %s", strings.Join(read.Skipped, ", "))
	}
	mesh := render.New(read.Snapshot)
	for _, f := range snapshot.SortFindings(slices.Concat(read.Findings, mesh.Findings())) {
		say(a.Err, "%s: %s: %s: %s\n", f.Severity, f.Object, f.Reason, f.Message)
	}
	if o.proxy == "" {
		return a.listProxies(mesh)
	}
	p, err := mesh.Find(o.proxy)
	if err != nil {
		return err
	}
	text, err := renderText(mesh, p, o.output)
	if err != nil {
		return err
	}
	_, err = a.Out.Write(text)
	return err
}

func renderText(mesh *render.Mesh, p render.Proxy, output string) ([]byte, error) {
	if output == "ir" {
		return render.IRText(mesh.Plan(p))
	}
	set, err := mesh.Resources(p, []byte(render.PlaceholderRoots))
	if err != nil {
		return nil, err
	}
	return render.EnvoyText(set)
}

func (a *app) listProxies(mesh *render.Mesh) error {
	w := table(a.Out)
	say(w, "PROXY\tPODS\tSERVICES\n")
	for _, p := range mesh.Proxies() {
		services := make([]string, 0, len(p.Key.Services()))
		for _, s := range p.Key.Services() {
			services = append(services, s.String())
		}
		if len(services) == 0 {
			services = append(services, "-")
		}
		say(w, "%s\t%s\t%s\n", p.Identity(), strings.Join(p.Pods, ","), strings.Join(services, ","))
	}
	return w.Flush()
}
