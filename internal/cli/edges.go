package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"openservicemesh.io/osm/internal/core/describe"
)

// edgesOptions are the flags of `osm edges`.
type edgesOptions struct {
	namespace string
	from, to  string
	output    listOutput
}

// edge is who may call whom, and whether both ends show that they hold what mutual TLS between them needs.
type edge struct {
	describe.Edge
	// Callers and Answering are how many sidecars of each end are connected and hold a valid certificate.
	Callers   int `json:"callers"`
	Answering int `json:"answering"`
	// Secured is whether all sidecars of both ends do; Reason says why not.
	Secured bool   `json:"secured"`
	Reason  string `json:"reason,omitempty"`
	// Until is when the first of their certificates ends; they are renewed before.
	Until time.Time `json:"until,omitzero"`
}

func (a *app) edgesCommand() *cobra.Command {
	var o edgesOptions
	cmd := &cobra.Command{
		Use:   "edges",
		Short: "list who may call whom in the mesh, and whether mutual TLS between them is proven",
		Long: `List every service account that the configuration lets call a service of the mesh, by which TrafficTarget, and whether mutual TLS
between the two is proven: every sidecar at both ends is connected to the control plane, has acknowledged the newest configuration,
which takes connections of the mesh only with a certificate, and holds a certificate of the mesh's root that has not ended. Where a sidecar
does not, the reason is listed. These are the calls that may happen; whether they do is in the metrics. No sidecar is asked anything.
`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.edges(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVarP(&o.namespace, "namespace", "n", "", "only edges that begin or end in this namespace")
	f.StringVar(&o.from, "from", "", "only edges from this service account, as <service account>.<namespace>")
	f.StringVar(&o.to, "to", "", "only edges to this service, as <namespace>/<service>")
	o.output.flag(f)
	return cmd
}

func (a *app) edges(ctx context.Context, o edgesOptions) error {
	if err := o.output.check(); err != nil {
		return err
	}
	mesh, err := a.readMesh(ctx, nil)
	if err != nil {
		return err
	}
	cluster, err := a.Connect()
	if err != nil {
		return err
	}
	proxies, err := a.proxyStatuses(ctx, cluster)
	if err != nil {
		return err
	}
	ends := map[string][]proxyStatus{}
	for _, p := range proxies {
		ends[p.Identity] = append(ends[p.Identity], p)
	}
	list := []edge{}
	for _, e := range describe.Edges(mesh.view.Planner()) {
		if o.wants(e) {
			list = append(list, prove(e, ends, time.Now()))
		}
	}
	if written, err := o.output.write(a.Out, list); written || err != nil {
		return err
	}
	return a.sayEdges(list, o.output.wide())
}

func (o edgesOptions) wants(e describe.Edge) bool {
	in := func(namespace string) bool {
		return strings.HasSuffix(e.Source, "."+namespace) || strings.HasPrefix(e.Service, namespace+"/") || strings.HasPrefix(e.Backend, namespace+"/")
	}
	return (o.namespace == "" || in(o.namespace)) && (o.from == "" || o.from == e.Source) && (o.to == "" || o.to == e.Service || o.to == e.Backend)
}

// prove looks at the sidecars of both ends.
func prove(e describe.Edge, ends map[string][]proxyStatus, now time.Time) edge {
	out := edge{Edge: e}
	root := ""
	look := func(identities []string, count *int) {
		for _, p := range among(ends, identities) {
			reason := p.unproven(now)
			if c := p.Certificate; reason == "" && root != "" && c.Root != root {
				reason = "certificates of two roots: the root is being changed"
			}
			if reason != "" {
				out.Reason = cmp.Or(out.Reason, fmt.Sprintf("%s/%s: %s", p.Namespace, p.Pod, reason))
				continue
			}
			*count++
			root = p.Certificate.Root
			if out.Until.IsZero() || p.Certificate.NotAfter.Before(out.Until) {
				out.Until = p.Certificate.NotAfter
			}
		}
	}
	look([]string{e.Source}, &out.Callers)
	look(e.Servers, &out.Answering)
	switch {
	case len(e.Policies) == 0 && !e.Permissive:
		out.Reason = "no policy of the backend lets the caller in"
	case out.Callers == 0:
		out.Reason = cmp.Or(out.Reason, "no sidecar of the caller")
	case out.Answering == 0:
		out.Reason = cmp.Or(out.Reason, "no pod with a sidecar answers")
	}
	out.Secured = out.Reason == ""
	return out
}

func among(ends map[string][]proxyStatus, identities []string) []proxyStatus {
	var out []proxyStatus
	for _, id := range identities {
		out = append(out, ends[id]...)
	}
	return out
}

// unproven says why a sidecar cannot be counted on; empty when it can.
func (p proxyStatus) unproven(now time.Time) string {
	switch state := p.overall(); {
	case state != "SYNCED":
		return "its sidecar is " + state
	case p.Certificate == nil:
		return "it has acknowledged no certificate"
	case !now.Before(p.Certificate.NotAfter):
		return "its certificate ended at " + p.Certificate.NotAfter.Format(time.RFC3339)
	}
	return ""
}

func (a *app) sayEdges(list []edge, wide bool) error {
	if len(list) == 0 {
		say(a.Out, "Nobody may call anybody.\n")
		return nil
	}
	w := table(a.Out)
	say(w, "SOURCE\tSERVICE\tPROTOCOL\tBY\tMTLS")
	if wide {
		say(w, "\tBACKEND\tSERVERS\tCALLERS\tANSWERING\tUNTIL")
	}
	say(w, "\n")
	for _, e := range list {
		say(w, "%s\t%s:%d\t%s\t%s\t%s", e.Source, e.Service, e.Port, e.Protocol, by(e.Edge), e.proof())
		if wide {
			until := "-"
			if !e.Until.IsZero() {
				until = e.Until.Format(time.RFC3339)
			}
			say(w, "\t%s\t%s\t%d\t%d\t%s", e.Backend, cmp.Or(strings.Join(slices.Sorted(slices.Values(e.Servers)), ","), "-"), e.Callers, e.Answering, until)
		}
		say(w, "\n")
	}
	return w.Flush()
}

func by(e describe.Edge) string {
	if e.Permissive {
		return "permissive mode"
	}
	return cmp.Or(strings.Join(e.Policies, ","), "-")
}

func (e edge) proof() string {
	if e.Secured {
		return "proven"
	}
	return "not proven: " + e.Reason
}
