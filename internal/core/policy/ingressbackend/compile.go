package ingressbackend

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	policyv1 "openservicemesh.io/osm/api/policy/v1alpha1"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// Backend is a port of a service that clients outside of the mesh may call.
type Backend struct {
	// Object is whose it is.
	Object snapshot.ObjectRef
	// Port is the target port.
	Port uint16
	// HTTPS is whether TLS is terminated, with the workload's own certificate; otherwise it is plaintext.
	HTTPS bool
	// ServerNames are sorted; none means any.
	ServerNames []string
	// AnyClient takes clients without a certificate.
	AnyClient bool
	// Principals are exact certificate names, sorted; none means any certificate of the mesh.
	Principals []string
	// Sources are addresses of clients, sorted; none means any.
	Sources []netip.Prefix
}

// Lookup finds services.
type Lookup struct {
	// Addresses returns the ready addresses behind a service, sorted.
	Addresses func(meshid.Service) []netip.Addr
	// TargetPorts returns the target ports that the mesh carries; false when there is no such service.
	TargetPorts func(meshid.Service) ([]uint16, bool)
}

// SourceServices are the services whose addresses objects take for sources: a change of those addresses is a change of
// configuration.
func SourceServices(objects []*policyv1.IngressBackend) map[meshid.Service]bool {
	out := map[meshid.Service]bool{}
	for _, o := range objects {
		for _, s := range o.Spec.Sources {
			if s.Kind == policyv1.SourceKindService {
				out[meshid.Service{Namespace: s.Namespace, Name: s.Name}] = true
			}
		}
	}
	return out
}

// Compile compiles every object, in order. What cannot be compiled opens nothing and is reported. Backends are services of
// the object's own namespace.
func Compile(objects []*policyv1.IngressBackend, lookup Lookup) (map[meshid.Service][]Backend, []snapshot.Finding) {
	out := map[meshid.Service][]Backend{}
	var findings []snapshot.Finding
	for _, o := range objects {
		c := compiler{object: o, lookup: lookup, taken: out}
		c.compile()
		findings = append(findings, c.findings...)
	}
	return out, findings
}

type compiler struct {
	object   *policyv1.IngressBackend
	lookup   Lookup
	taken    map[meshid.Service][]Backend
	findings []snapshot.Finding
}

func (c *compiler) ref() snapshot.ObjectRef {
	return snapshot.ObjectRef{Kind: Kind, Namespace: c.object.Namespace, Name: c.object.Name}
}

func (c *compiler) report(s snapshot.Severity, code, reason, format string, args ...any) {
	c.findings = append(c.findings, snapshot.Finding{
		Object: c.ref(), Severity: s, Code: code, Reason: reason, Message: fmt.Sprintf(format, args...)})
}

func (c *compiler) compile() {
	from, ok := c.sources()
	if !ok {
		return
	}
	for i, b := range c.object.Spec.Backends {
		id := meshid.Service{Namespace: c.object.Namespace, Name: b.Name}
		if backend, ok := c.backend(i, id, b, from); ok {
			c.taken[id] = append(c.taken[id], backend)
		}
	}
}

// sources are what spec.sources says, together.
type sources struct {
	ranges     []netip.Prefix
	principals []string
	// limited is whether any source names addresses. Without one, everyone is meant, but only if there is no source at all
	// or those there are name principals.
	limited bool
	none    bool
}

// sources returns false when a source cannot be used: leaving it out could only open too little, but a list without it
// might be empty, and that means everyone.
func (c *compiler) sources() (sources, bool) {
	out := sources{none: len(c.object.Spec.Sources) == 0}
	ok := true
	for i, s := range c.object.Spec.Sources {
		switch s.Kind {
		case policyv1.SourceKindService:
			out.limited = true
			addrs := c.lookup.Addresses(meshid.Service{Namespace: s.Namespace, Name: s.Name})
			if len(addrs) == 0 {
				c.report(snapshot.Error, "E3000", "EndpointsNotFound", "endpoints not found for service %s/%s", s.Namespace, s.Name)
				ok = false
			}
			for _, a := range addrs {
				out.ranges = append(out.ranges, netip.PrefixFrom(a, a.BitLen()))
			}
		case policyv1.SourceKindIPRange:
			out.limited = true
			p, err := netip.ParsePrefix(s.Name)
			if err != nil {
				c.report(snapshot.Error, "", "InvalidSource", "spec.sources[%d].name: %q is not a CIDR such as 10.0.0.0/8; nothing is opened", i, s.Name)
				ok = false
				continue
			}
			out.ranges = append(out.ranges, p.Masked())
		case policyv1.SourceKindAuthenticatedPrincipal:
			if s.Name == "" {
				c.report(snapshot.Error, "", "InvalidSource", "spec.sources[%d].name is empty; name a certificate's DNS name. Nothing is opened", i)
				ok = false
				continue
			}
			out.principals = append(out.principals, s.Name)
		default:
			c.report(snapshot.Error, "", "InvalidSource", "spec.sources[%d].kind: %q is not supported; use %s, %s or %s. Nothing is opened",
				i, s.Kind, policyv1.SourceKindService, policyv1.SourceKindAuthenticatedPrincipal, policyv1.SourceKindIPRange)
			ok = false
		}
	}
	if out.none {
		c.report(snapshot.Warning, "", "NoSources", "spec.sources is empty, so every client that reaches the pods may call; name Services, IP ranges or principals")
	}
	slices.SortFunc(out.ranges, func(a, b netip.Prefix) int { return strings.Compare(a.String(), b.String()) })
	slices.Sort(out.principals)
	out.ranges, out.principals = slices.Compact(out.ranges), slices.Compact(out.principals)
	return out, ok
}

func (c *compiler) backend(i int, id meshid.Service, b policyv1.IngressBackendService, from sources) (Backend, bool) {
	out := Backend{Object: c.ref(), Port: uint16(b.Port.Number), Sources: from.ranges}
	switch strings.ToLower(b.Port.Protocol) {
	case "http":
		if !from.limited && !from.none {
			c.report(snapshot.Error, "", "PrincipalsNeedTLS",
				"spec.backends[%d].port.protocol: http cannot tell an AuthenticatedPrincipal; use https, or name Services or IP ranges as sources. The backend is ignored", i)
			return out, false
		}
	case "https":
		out.HTTPS = true
		if out.AnyClient = b.TLS != nil && b.TLS.SkipClientCertValidation; !out.AnyClient {
			out.Principals = from.principals
		}
		if b.TLS != nil && !c.serverNames(i, b.TLS.SNIHosts, &out) {
			return out, false
		}
	default:
		c.report(snapshot.Error, "", "InvalidProtocol", "spec.backends[%d].port.protocol: %q is not supported; use http or https. The backend is ignored", i, b.Port.Protocol)
		return out, false
	}
	if slices.ContainsFunc(c.taken[id], func(other Backend) bool { return other.Port == out.Port }) {
		c.report(snapshot.Error, "", "DuplicateBackend",
			"spec.backends[%d]: port %d of service %s is a backend before, here or in another IngressBackend; the first one, by namespace and name, counts", i, out.Port, id.Name)
		return out, false
	}
	c.checkPort(i, id, out.Port)
	return out, true
}

func (c *compiler) serverNames(i int, hosts []string, out *Backend) bool {
	for _, h := range hosts {
		name := strings.ToLower(h)
		if len(validation.IsDNS1123Subdomain(name)) > 0 && len(validation.IsWildcardDNS1123Subdomain(name)) > 0 {
			c.report(snapshot.Error, "", "InvalidHost", "spec.backends[%d].tls.sniHosts: %q is not a host name such as www.example.com or *.example.com. The backend is ignored", i, h)
			return false
		}
		out.ServerNames = append(out.ServerNames, name)
	}
	slices.Sort(out.ServerNames)
	out.ServerNames = slices.Compact(out.ServerNames)
	return true
}

// checkPort warns about a backend that is not there, or not yet.
func (c *compiler) checkPort(i int, id meshid.Service, port uint16) {
	ports, ok := c.lookup.TargetPorts(id)
	switch {
	case !ok:
		c.report(snapshot.Warning, "", "ServiceNotFound", "spec.backends[%d].name: there is no Service %s in the mesh; backends are Services of the object's own namespace", i, id)
	case !slices.Contains(ports, port):
		c.report(snapshot.Warning, "", "PortNotFound", "spec.backends[%d].port.number: %d is no target port of Service %s; its target ports are %v", i, port, id, ports)
	}
}
