package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"openservicemesh.io/osm/internal/core/explain"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/sim"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// explainOptions are the flags of `osm policy explain`.
type explainOptions struct {
	files    []string
	port     uint16
	path     string
	method   string
	headers  []string
	tls      bool
	output   listOutput
	exitCode bool
}

func (a *app) policyExplainCommand() *cobra.Command {
	var o explainOptions
	cmd := &cobra.Command{
		Use:   "explain SOURCE DESTINATION",
		Short: "say whether a call would succeed, by which objects, and what is missing",
		Long: `Follow a call through the configuration of both sidecars, say how it ends and which objects decide that. Of a call that is
denied, say what is missing and print the smallest policy that would allow it. Nothing is sent.

SOURCE is <namespace>/<pod>, or <service account>.<namespace>. DESTINATION is what the application would dial: a URL, a host
and port, or <namespace>/<service or pod>. The cluster is asked, or with -f manifests are read as if they were applied to one.
`,
		Example: `  osm policy explain bookthief.bookthief http://bookstore.bookstore:14001/books-bought
  osm policy explain bookbuyer/bookbuyer-5ccf77f46d-rc5mg mysql.bookwarehouse:3306
  osm policy explain -f manifests/ bookbuyer.bookbuyer bookstore/bookstore --port 14001 --path /buy-a-book/new --method POST
`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error { return a.explain(cmd.Context(), o, args[0], args[1]) },
	}
	flags := cmd.Flags()
	flags.StringArrayVarP(&o.files, "filename", "f", nil, "manifest, directory of manifests, or - for the standard input, in place of the cluster; may be repeated")
	flags.Uint16Var(&o.port, "port", 0, "port to call, where DESTINATION names none")
	flags.StringVar(&o.path, "path", "", "path of the request")
	flags.StringVar(&o.method, "method", "", "method of the request")
	flags.StringArrayVar(&o.headers, "header", nil, "header of the request, as name=value; may be repeated")
	flags.BoolVar(&o.tls, "tls", false, "the application speaks TLS itself")
	flags.BoolVar(&o.exitCode, "exit-code", false, "exit with 1 if the call would not succeed")
	o.output.flag(flags)
	return cmd
}

// errDenied makes the exit code 1 without a message of its own.
var errDenied = errors.New("the call would not succeed")

func (a *app) explain(ctx context.Context, o explainOptions, source, destination string) error {
	if err := o.output.check(); err != nil {
		return err
	}
	mesh, err := a.readMesh(ctx, o.files)
	if err != nil {
		return err
	}
	q, err := o.question(mesh.snap, source, destination)
	if err != nil {
		return err
	}
	v, err := explain.New(mesh.view).Explain(q)
	if err != nil {
		return err
	}
	if written, err := o.output.write(a.Out, v); err != nil {
		return err
	} else if !written {
		if err := a.sayVerdict(v); err != nil {
			return err
		}
	}
	if o.exitCode && !v.Allowed {
		return errDenied
	}
	return nil
}

// question reads what the user asks.
func (o explainOptions) question(s *snapshot.Snapshot, source, destination string) (explain.Question, error) {
	q := explain.Question{TLS: o.tls}
	var err error
	if q.From, err = sourcePod(s, source); err != nil {
		return q, err
	}
	u, err := o.parseDestination(s, destination)
	if err != nil {
		return q, err
	}
	q.Host, q.Port = u.host, u.port
	q.TLS = q.TLS || u.scheme == "https"
	if q.HTTP, err = o.request(u.path); err != nil {
		return q, err
	}
	if u.scheme == "http" && q.HTTP == nil {
		q.HTTP, q.AnyRequest = &sim.Request{Method: "GET", Path: "/", Headers: map[string]string{}}, true
	}
	return q, nil
}

// request is the request of the flags and the URL; nil when neither says anything about one.
func (o explainOptions) request(path string) (*sim.Request, error) {
	if o.path != "" {
		path = o.path
	}
	if path == "" && o.method == "" && len(o.headers) == 0 {
		return nil, nil
	}
	r := &sim.Request{Method: "GET", Path: "/", Headers: map[string]string{}}
	if path != "" {
		r.Path = path
	}
	if !strings.HasPrefix(r.Path, "/") {
		return nil, fmt.Errorf("--path %q does not begin with a slash", r.Path)
	}
	if o.method != "" {
		r.Method = strings.ToUpper(o.method)
	}
	for _, h := range o.headers {
		name, value, ok := strings.Cut(h, "=")
		if name = strings.ToLower(strings.TrimSpace(name)); !ok || name == "" {
			return nil, fmt.Errorf("--header %q is not written as name=value", h)
		}
		if name == "host" {
			r.Host = value
			continue
		}
		r.Headers[name] = value
	}
	return r, nil
}

// sourcePod finds the pod that a user means by <namespace>/<pod> or <service account>.<namespace>.
func sourcePod(s *snapshot.Snapshot, text string) (meshid.Pod, error) {
	if namespace, name, ok := strings.Cut(text, "/"); ok {
		if namespace == "" || name == "" || strings.Contains(name, "/") {
			return meshid.Pod{}, fmt.Errorf("source %q is neither <namespace>/<pod> nor <service account>.<namespace>", text)
		}
		return meshid.Pod{Namespace: namespace, Name: name}, nil
	}
	id, err := meshid.ParseIdentity(text)
	if err != nil {
		return meshid.Pod{}, fmt.Errorf("source %q is neither <namespace>/<pod> nor <service account>.<namespace>", text)
	}
	var plain *snapshot.Pod
	for _, p := range s.Pods {
		if p.Identity != id {
			continue
		}
		if p.ProxyUUID != "" {
			return p.ID, nil
		}
		plain = p
	}
	if plain != nil {
		return plain.ID, nil
	}
	return meshid.Pod{}, fmt.Errorf("source %q: no pod of the mesh runs as service account %s of namespace %s", text, id.ServiceAccount, id.Namespace)
}

// dialled is a destination taken apart.
type dialled struct {
	scheme, host, path string
	port               uint16
}

func (o explainOptions) parseDestination(s *snapshot.Snapshot, text string) (dialled, error) {
	var d dialled
	rest := text
	if scheme, after, ok := strings.Cut(text, "://"); ok {
		if scheme != "http" && scheme != "https" && scheme != "tcp" {
			return d, fmt.Errorf("destination %q: scheme %q is not known; use http, https or tcp", text, scheme)
		}
		d.scheme, rest = scheme, after
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			rest, d.path = rest[:i], rest[i:]
		}
	} else if namespace, name, ok := strings.Cut(text, "/"); ok {
		return o.parseObject(s, namespace, name)
	}
	host, port, err := splitPort(rest)
	if err != nil {
		return d, fmt.Errorf("destination %q: %w", text, err)
	}
	d.host = host
	switch {
	case port != 0:
		d.port = port
	case o.port != 0:
		d.port = o.port
	case d.scheme == "http":
		d.port = 80
	case d.scheme == "https":
		d.port = 443
	default:
		return d, fmt.Errorf("destination %q names no port; write host:port or use --port", text)
	}
	return d, nil
}

// parseObject reads <namespace>/<service or pod>[:port].
func (o explainOptions) parseObject(s *snapshot.Snapshot, namespace, name string) (dialled, error) {
	name, port, err := splitPort(name)
	if err != nil {
		return dialled{}, fmt.Errorf("destination %s/%s: %w", namespace, name, err)
	}
	d := dialled{port: max(port, o.port)}
	if svc := s.Service(meshid.Service{Namespace: namespace, Name: name}); svc != nil {
		d.host = name + "." + namespace
		if d.port == 0 && len(svc.Ports) == 1 {
			d.port = svc.Ports[0].Port
		}
	}
	for _, p := range s.Pods {
		if d.host == "" && p.ID.Namespace == namespace && p.ID.Name == name && len(p.IPs) > 0 {
			d.host = p.IPs[0].String()
		}
	}
	switch {
	case d.host == "":
		return d, fmt.Errorf("destination %s/%s: the mesh has neither a service nor a pod of that name", namespace, name)
	case d.port == 0:
		return d, fmt.Errorf("destination %s/%s names no port; use --port", namespace, name)
	}
	return d, nil
}

// splitPort takes a port off a host; 0 stands for none.
func splitPort(text string) (string, uint16, error) {
	if strings.HasSuffix(text, "]") || !strings.Contains(text, ":") {
		return strings.Trim(text, "[]"), 0, nil
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", 0, fmt.Errorf("%q is not host:port", text)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("port %q is not a number from 1 to 65535", port)
	}
	return host, uint16(n), nil
}

// sayVerdict prints a verdict for people.
func (a *app) sayVerdict(v explain.Verdict) error {
	verdict := "DENIED"
	if v.Allowed {
		verdict = "ALLOWED"
	}
	say(a.Out, "%s: %s\n  from %s\n", verdict, v.To, v.From)
	for _, w := range v.Ways {
		where := "the caller's sidecar"
		if w.Where == "server" {
			where = "the server's sidecar"
		}
		share := ""
		if len(v.Ways) > 1 {
			share = fmt.Sprintf("%.0f %% of the calls, to %s: ", w.Percent, w.Cluster)
		}
		say(a.Out, "  %s%s, decided by %s (%s)\n", share, w.Ends, where, w.By)
	}
	for _, line := range append(v.Because, v.Missing...) {
		say(a.Out, "  - %s\n", line)
	}
	for _, f := range v.Findings {
		say(a.Out, "  ! %s\n", findingText(f))
	}
	if len(v.Policy) == 0 {
		return nil
	}
	say(a.Out, "\nThis policy would allow it:\n\n")
	for _, o := range v.Policy {
		text, err := yaml.Marshal(o)
		if err != nil {
			return err
		}
		say(a.Out, "---\n%s", text)
	}
	return nil
}

func findingText(f snapshot.Finding) string {
	return fmt.Sprintf("%s: %s: %s: %s", f.Severity, f.Object, f.Reason, f.Message)
}
