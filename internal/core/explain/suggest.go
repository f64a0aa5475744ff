package explain

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	policyv1 "openservicemesh.io/osm/api/policy/v1alpha1"
	access "openservicemesh.io/osm/api/smi/access/v1alpha3"
	specs "openservicemesh.io/osm/api/smi/specs/v1alpha4"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/policy/egress"
	"openservicemesh.io/osm/internal/core/policy/routegroup"
	"openservicemesh.io/osm/internal/core/policy/tcproute"
	"openservicemesh.io/osm/internal/core/policy/traffictarget"
	"openservicemesh.io/osm/internal/core/snapshot"
)

const matchName = "call"

// suggestion collects the smallest TrafficTargets, with their routes, that let the caller make this call. Grants add up, so
// it takes nothing away from anybody.
type suggestion struct {
	call    *call
	routes  map[routesKey]access.TrafficTargetRule
	objects []snapshot.Object
}

// routesKey is what TrafficTargets that may share their routes have in common. The port counts for TCP.
type routesKey struct {
	namespace string
	port      uint16
}

// grant adds what lets the caller call a service account.
func (s *suggestion) grant(d meshid.Identity) {
	from := s.call.from.Identity
	name := s.call.free(d.Namespace, fmt.Sprintf("%s-%s-to-%s", from.ServiceAccount, from.Namespace, d.ServiceAccount),
		traffictarget.Kind, routegroup.Kind, tcproute.Kind)
	meta := metav1.ObjectMeta{Namespace: d.Namespace, Name: name}
	rule := s.rule(d, meta)
	t := &access.TrafficTarget{TypeMeta: typeMeta(access.GroupVersion.String(), traffictarget.Kind), ObjectMeta: meta}
	t.Spec = access.TrafficTargetSpec{
		Destination: access.IdentityBindingSubject{Kind: access.KindServiceAccount, Name: d.ServiceAccount, Namespace: d.Namespace},
		Rules:       []access.TrafficTargetRule{rule},
		Sources:     []access.IdentityBindingSubject{{Kind: access.KindServiceAccount, Name: from.ServiceAccount, Namespace: from.Namespace}},
	}
	s.objects = append(s.objects, t)
}

// rule names the routes of the call, and adds them where no TrafficTarget before has them in its namespace.
func (s *suggestion) rule(d meshid.Identity, meta metav1.ObjectMeta) access.TrafficTargetRule {
	key := routesKey{namespace: d.Namespace}
	if s.call.q.HTTP == nil {
		key.port = s.call.targetPort(d)
	}
	if rule, ok := s.routes[key]; ok {
		return rule
	}
	rule := access.TrafficTargetRule{Kind: access.KindTCPRoute, Name: meta.Name}
	if s.call.q.HTTP == nil {
		r := &specs.TCPRoute{TypeMeta: typeMeta(specs.GroupVersion.String(), tcproute.Kind), ObjectMeta: meta}
		r.Spec.Matches = specs.TCPMatch{Name: matchName, Ports: []int{}}
		if key.port != 0 {
			r.Spec.Matches.Ports = []int{int(key.port)}
		}
		s.objects = append(s.objects, r)
	} else {
		rule = access.TrafficTargetRule{Kind: access.KindHTTPRouteGroup, Name: meta.Name, Matches: []string{matchName}}
		g := &specs.HTTPRouteGroup{TypeMeta: typeMeta(specs.GroupVersion.String(), routegroup.Kind), ObjectMeta: meta}
		g.Spec.Matches = []specs.HTTPMatch{s.call.match()}
		if len(routegroup.Check(g)) > 0 { // a path that no expression may spell out
			g.Spec.Matches[0].PathRegex = ".*"
		}
		s.objects = append(s.objects, g)
	}
	s.routes[key] = rule
	return rule
}

// match is the request that was asked about, or every request.
func (c *call) match() specs.HTTPMatch {
	if c.q.AnyRequest {
		return specs.HTTPMatch{Name: matchName, PathRegex: ".*", Methods: []specs.HTTPMethod{specs.MethodAll}}
	}
	path, _, _ := strings.Cut(c.judged().Path, "?")
	return specs.HTTPMatch{Name: matchName, PathRegex: regexp.QuoteMeta(path), Methods: []specs.HTTPMethod{specs.HTTPMethod(c.q.HTTP.Method)}}
}

// suggestEgress is the smallest Egress that lets the caller out to where it wants to go. The findings say why none may.
func (c *call) suggestEgress() ([]snapshot.Object, []snapshot.Finding) {
	host := strings.ToLower(c.q.Host)
	name := c.free(c.from.ID.Namespace, c.from.Identity.ServiceAccount+"-to-"+strings.Trim(strings.NewReplacer("*", "any", ":", "-").Replace(host), ".-"), egress.Kind)
	e := &policyv1.Egress{TypeMeta: typeMeta(policyv1.GroupVersion.String(), egress.Kind),
		ObjectMeta: metav1.ObjectMeta{Namespace: c.from.ID.Namespace, Name: name}}
	e.Spec.Sources = []policyv1.EgressSource{{Kind: policyv1.KindServiceAccount,
		Name: c.from.Identity.ServiceAccount, Namespace: c.from.Identity.Namespace}}
	protocol := "tcp"
	switch {
	case c.q.TLS && c.to.named:
		protocol, e.Spec.Hosts = "https", []string{host}
	case c.q.HTTP != nil && !c.q.TLS:
		protocol, e.Spec.Hosts = "http", []string{host}
	case !c.to.named:
		e.Spec.IPAddresses = []string{fmt.Sprintf("%s/%d", c.to.addr.Addr(), c.to.addr.Addr().BitLen())}
	}
	e.Spec.Ports = []policyv1.EgressPort{{Number: int(c.q.Port), Protocol: protocol}}
	_, refused := egress.Compile([]*policyv1.Egress{e}, egress.Lookup{
		MeshNamespace: c.mesh.snap.Mesh.Namespace, Node: c.mesh.snap.IsNode,
		Service: func(id meshid.Service) bool { return c.mesh.snap.Service(id) != nil }})
	return []snapshot.Object{e}, refused
}

// free is a name that no object of the kinds has in the namespace.
func (c *call) free(namespace, name string, kinds ...string) string {
	taken := func(name string) bool {
		return slices.ContainsFunc(kinds, func(kind string) bool {
			return slices.ContainsFunc(c.mesh.snap.Policies[kind], func(o snapshot.Object) bool {
				return o.GetNamespace() == namespace && o.GetName() == name
			})
		})
	}
	try := name
	for i := 2; taken(try); i++ {
		try = fmt.Sprintf("%s-%d", name, i)
	}
	return try
}

func typeMeta(apiVersion, kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: apiVersion, Kind: kind}
}
