package explain

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	access "openservicemesh.io/osm/api/smi/access/v1alpha3"
	"openservicemesh.io/osm/internal/core/describe"
	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/policy/traffictarget"
	"openservicemesh.io/osm/internal/core/sim"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// endpoint is the address of the first ready pod that a connection to the destination reaches; invalid when there is none.
func (c *call) endpoint() (netip.AddrPort, error) {
	d := c.to
	if d.pod != nil || d.service == nil {
		return d.addr, nil
	}
	if d.port == nil {
		return netip.AddrPort{}, nil
	}
	list := c.mesh.snap.Endpoints[meshid.ServicePort{Service: d.service.ID, Port: d.port.Port}]
	if len(list) == 0 {
		return netip.AddrPort{}, nil
	}
	return list[0].Addr, nil
}

// because says what lets the call through.
func (c *call) because() []string {
	mesh := c.mesh.snap.Mesh
	w := c.ways[0]
	switch {
	case w.outcome.End == sim.Passthrough && c.from != nil && c.from.ProxyUUID != "":
		return []string{"egress is on (MeshConfig spec.traffic.enableEgress), so what the mesh does not know passes through"}
	case w.outcome.End == sim.Passthrough:
		return []string{"no sidecar stands between the two"}
	case c.from == nil || c.from.ProxyUUID == "":
		return []string{fmt.Sprintf("an IngressBackend opens the port to callers without a sidecar (filter chain %s)", w.By)}
	case c.to.service == nil:
		return []string{"an Egress policy names it for service account " + c.from.Identity.String()}
	case mesh.Permissive:
		return []string{"permissive mode is on (MeshConfig spec.traffic.enablePermissiveTrafficPolicyMode), so every pod of the mesh may call every service of it"}
	}
	var out []string
	for _, d := range c.destinations() {
		for _, g := range c.grants(d) {
			if c.fits(d, g) {
				out = append(out, fmt.Sprintf("TrafficTarget %s lets %s call %s", g.Name, c.from.Identity, d))
			}
		}
	}
	return out
}

// missing says what keeps the call from getting through, and what policy would let it.
func (c *call) missing() ([]string, []snapshot.Object) {
	if c.from == nil || c.from.ProxyUUID == "" {
		return c.strangerIsMissing(), nil
	}
	if why := c.notPolicy(); why != nil {
		return why, nil
	}
	switch {
	case c.to.outside():
		return c.egressIsMissing()
	case c.mesh.snap.Mesh.Permissive:
		return c.howItEnds(), nil
	}
	return c.grantIsMissing()
}

func (c *call) strangerIsMissing() []string {
	who := fmt.Sprintf("pod %s has no sidecar, and pods of the mesh take connections of sidecars only", c.q.From)
	cure := fmt.Sprintf("its namespace %s belongs to the mesh: restart the pod so that it gets a sidecar, unless injection is switched off for it", c.q.From.Namespace)
	if c.from == nil {
		cure = fmt.Sprintf("add its namespace (osm namespace add %s) and restart the pod, or open the port with an IngressBackend", c.q.From.Namespace)
	}
	return []string{who, cure}
}

// notPolicy says what no access policy can cure; nil when policy is what is missing.
func (c *call) notPolicy() []string {
	var out []string
	for _, w := range c.ways {
		if w.Allowed {
			continue
		}
		why := c.notPolicyOf(w)
		if why == "" {
			return nil
		}
		out = append(out, why)
	}
	return slices.Compact(out)
}

func (c *call) notPolicyOf(w Way) string {
	switch o := w.outcome; {
	case c.to.service != nil && c.to.port == nil:
		return c.portWords()
	case w.Where == "client" && o.Code == 404 && c.q.HTTP != nil:
		return fmt.Sprintf("the request's Host %q is not a name of a service that the caller's sidecar knows on port %d, so it answers 404", c.q.HTTP.Host, c.q.Port)
	case strings.HasPrefix(o.By, "no endpoints of "):
		return fmt.Sprintf("no ready pod stands behind %s: %s", strings.TrimPrefix(o.By, "no endpoints of "), c.backingWords(w.service))
	case strings.HasPrefix(o.By, "no sidecar at "):
		return fmt.Sprintf("the pod at %s has no sidecar, so it cannot take mutual TLS: restart it in its namespace, which belongs to the mesh",
			strings.TrimPrefix(o.By, "no sidecar at "))
	case strings.HasPrefix(o.By, "certificate of "):
		return o.By + ": a pod of another service account answers for it"
	case o.End == sim.Answered && o.Code == 400:
		return "the request's path cannot be judged, so it is refused: it holds an escaped slash, a NUL or the like"
	case o.Held:
		return fmt.Sprintf("policy lets it through, and it ends %q by %s of the server's sidecar", w.Ends, strings.TrimPrefix(o.By, "server: "))
	}
	return ""
}

// portWords says why the mesh does not carry the port that is called.
func (c *call) portWords() string {
	svc := c.to.service
	for _, p := range svc.Ports {
		if p.Port == c.q.Port {
			why := fmt.Sprintf("the mesh does not carry port %d of service %s", p.Port, svc.ID)
			for _, f := range c.mesh.planner.Findings() {
				if f.Object == (snapshot.ObjectRef{Kind: "Service", Namespace: svc.ID.Namespace, Name: svc.ID.Name}) {
					why += ": " + f.Message
				}
			}
			return why
		}
	}
	ports := "no TCP port"
	for i, p := range svc.Ports {
		if i == 0 {
			ports = ""
		} else {
			ports += ", "
		}
		ports += fmt.Sprintf("%d (%s)", p.Port, p.Protocol)
	}
	return fmt.Sprintf("service %s has no port %d; it has %s", svc.ID, c.q.Port, ports)
}

func (c *call) backingWords(svc *snapshot.Service) string {
	if svc == nil {
		return "it has no endpoints"
	}
	if len(c.mesh.snap.Backing(svc.ID)) == 0 {
		return fmt.Sprintf("the selector of service %s fits no pod", svc.ID)
	}
	return fmt.Sprintf("the pods of service %s are not ready, or do not listen on its target port", svc.ID)
}

// grantIsMissing is about services of the mesh in SMI mode.
func (c *call) grantIsMissing() ([]string, []snapshot.Object) {
	var why []string
	policy := &suggestion{call: c, routes: map[routesKey]access.TrafficTargetRule{}}
	for _, d := range c.destinations() {
		grants := c.grants(d)
		if slices.ContainsFunc(grants, func(g traffictarget.Grant) bool { return c.fits(d, g) }) {
			continue
		}
		if len(grants) == 0 {
			why = append(why, fmt.Sprintf("no TrafficTarget lets service account %s call service account %s", c.from.Identity, d))
		}
		for _, g := range grants {
			why = append(why, fmt.Sprintf("TrafficTarget %s lets %s call %s, but only for %s", g.Name, c.from.Identity, d, grantWords(g)))
		}
		policy.grant(d)
	}
	if len(c.destinations()) == 0 {
		return []string{fmt.Sprintf("no pod of the mesh stands behind it: %s", c.backingWords(c.to.service))}, nil
	}
	return append(why, c.howItEnds()...), policy.objects
}

func (c *call) egressIsMissing() ([]string, []snapshot.Object) {
	why := []string{fmt.Sprintf("%s is not in the mesh, egress is off (MeshConfig spec.traffic.enableEgress), and no Egress policy of service account %s names it",
		c.q.Host, c.from.Identity)}
	why = append(why, c.howItEnds()...)
	policy, refused := c.suggestEgress()
	if len(refused) == 0 {
		return why, policy
	}
	for _, f := range refused {
		why = append(why, "no Egress may name it: "+f.Message)
	}
	return why, nil
}

// howItEnds says where the call ends, and why it looks as it does to the caller.
func (c *call) howItEnds() []string {
	var out []string
	for _, w := range c.ways {
		if w.Allowed {
			continue
		}
		switch o := w.outcome; {
		case o.End == sim.Refused:
			out = append(out, "the caller's sidecar may call nothing at all, so it does not listen, and the kernel refuses the connection")
		case o.End == sim.Reset && w.Where == "client":
			out = append(out, "the caller's sidecar takes the connection and closes it, because the destination is not among those it may call")
		case o.End == sim.Reset:
			out = append(out, "the server's sidecar closes the connection ("+w.By+")")
		case o.Code == 404:
			out = append(out, "the server's sidecar answers 404, because no route that anybody may call fits the request")
		case o.Code == 403:
			out = append(out, "the server's sidecar answers 403, because the route that fits the request is for others")
		case o.Code == 503:
			out = append(out, "the caller's sidecar answers 503, because the server's closed the connection ("+w.By+")")
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// destinations are the service accounts behind the ways that the call may go, sorted.
func (c *call) destinations() []meshid.Identity {
	var out []meshid.Identity
	for _, svc := range c.services() {
		out = append(out, c.mesh.snap.Backing(svc.ID)...)
	}
	if len(out) == 0 && c.to.pod != nil {
		out = append(out, c.to.pod.Identity)
	}
	slices.SortFunc(out, meshid.Identity.Compare)
	return slices.Compact(out)
}

// grants are what the caller may ask of a service account.
func (c *call) grants(d meshid.Identity) []traffictarget.Grant {
	var out []traffictarget.Grant
	for _, g := range c.mesh.planner.Grants(d) {
		if slices.Contains(g.Sources, c.from.Identity) {
			out = append(out, g)
		}
	}
	return out
}

// fits reports whether a grant of a service account covers the call, by the rules that the server's sidecar is given.
func (c *call) fits(d meshid.Identity, g traffictarget.Grant) bool {
	if c.q.HTTP == nil {
		named := slices.Contains(g.TCPPorts, c.targetPort(d))
		if c.to.port != nil && c.to.port.Undeclared {
			// Such a port is opened to bytes by its number alone, and by no target that has rules about requests.
			return named && !g.Requests
		}
		return named || g.AnyPort
	}
	return slices.ContainsFunc(g.HTTP, func(m ir.RouteMatch) bool { return covers(m, c.judged()) })
}

// judged is the request with the path as the server's sidecar normalises it, where it came to that.
func (c *call) judged() sim.Request {
	r := *c.q.HTTP
	for _, w := range c.ways {
		if w.outcome.Judged != "" {
			r.Path = w.outcome.Judged
		}
	}
	return r
}

// covers reports whether a match is about a request.
func covers(m ir.RouteMatch, r sim.Request) bool {
	path, _, _ := strings.Cut(r.Path, "?")
	if m.Path != "" && !whole(m.Path, path) || m.Method != "" && m.Method != r.Method {
		return false
	}
	for _, h := range m.Headers {
		value, ok := r.Headers[h.Name]
		if h.Name == ":authority" {
			value, ok = r.Host, true
		}
		if !ok || !whole(h.Regex, value) {
			return false
		}
	}
	return true
}

func whole(expression, value string) bool {
	re, err := regexp.Compile(`\A(?:` + expression + `)\z`)
	return err == nil && re.MatchString(value)
}

// targetPort is the port that the call reaches at pods of a service account; 0 when none of their services has it.
func (c *call) targetPort(d meshid.Identity) uint16 {
	for _, svc := range c.services() {
		if !slices.Contains(c.mesh.snap.Backing(svc.ID), d) {
			continue
		}
		for _, p := range svc.Ports {
			if c.to.port == nil || p.Port != c.to.port.Port {
				continue
			}
			// Who dials a pod names the number that this pod listens on.
			if dialled := c.to.addr.Port(); c.to.pod != nil && p.LeadsTo(dialled) {
				return dialled
			}
			return p.TargetPort
		}
	}
	return 0
}

// services are those that the call may end at: where Envoy chooses among clusters, theirs, else the destination and what
// it is split over.
func (c *call) services() []*snapshot.Service {
	var out []*snapshot.Service
	for _, w := range c.ways {
		if w.service != nil {
			out = append(out, w.service)
		}
	}
	if c.to.service != nil && c.ways[0].Cluster == "" {
		for _, id := range c.mesh.planner.BackendsOf(c.to.service.ID) {
			if svc := c.mesh.snap.Service(id); svc != nil {
				out = append(out, svc)
			}
		}
	}
	return out
}

func grantWords(g traffictarget.Grant) string {
	var out []string
	for _, m := range g.HTTP {
		out = append(out, describe.Request(m))
	}
	switch {
	case len(g.TCPPorts) > 0:
		out = append(out, "target ports "+strings.Trim(fmt.Sprint(g.TCPPorts), "[]"))
	case len(g.HTTP) == 0 && g.AnyPort:
		out = append(out, "TCP on any port")
	}
	return strings.Join(out, "; ")
}
