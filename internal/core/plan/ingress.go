package plan

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	policyv1 "openservicemesh.io/osm/api/policy/v1alpha1"
	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/policy/ingressbackend"
	"openservicemesh.io/osm/internal/core/snapshot"
)

func portString(p uint16) string { return strconv.Itoa(int(p)) }

func (p *Planner) compileIngress() {
	lookup := ingressbackend.Lookup{
		Addresses: func(id meshid.Service) []netip.Addr {
			svc := p.snap.Service(id)
			if svc == nil {
				return nil
			}
			var out []netip.Addr
			for _, port := range svc.Ports {
				for _, ep := range p.snap.Endpoints[meshid.ServicePort{Service: id, Port: port.Port}] {
					out = append(out, ep.Addr.Addr())
				}
			}
			slices.SortFunc(out, netip.Addr.Compare)
			return slices.Compact(out)
		},
		TargetPorts: func(id meshid.Service) ([]uint16, bool) {
			var out []uint16
			for _, port := range p.listens[id] {
				out = append(out, port.TargetPort)
			}
			return out, p.snap.Service(id) != nil
		},
	}
	backends, findings := ingressbackend.Compile(snapshot.List[*policyv1.IngressBackend](p.snap.Policies, ingressbackend.Kind), lookup)
	p.ingress = backends
	p.findings = slices.Concat(p.findings, findings, p.sharedIngress())
}

// ingress plans what clients outside of the mesh may reach, beside the chains of the mesh. The two cannot take each
// other's connections: a sidecar's connection is TLS with the mesh's ALPN, and a chain that wants it goes before one that
// does not; ingress chains take plaintext, or TLS without it.
func (b *builder) ingress(l *ir.Listener) {
	type entry struct {
		svc     *snapshot.Service
		backend ingressbackend.Backend
	}
	var all []entry
	var ports []uint16
	for _, id := range b.key.Services() {
		svc := b.planner.snap.Service(id)
		if svc == nil {
			continue
		}
		for _, backend := range b.planner.ingress[id] {
			all, ports = append(all, entry{svc, backend}), append(ports, backend.Port)
		}
	}
	slices.Sort(ports)
	several := len(slices.Compact(ports)) > 1
	claims := ingressClaims{}
	for _, e := range all {
		b.ingressBackend(l, e.svc, e.backend, several, claims)
	}
}

func (b *builder) ingressBackend(l *ir.Listener, svc *snapshot.Service, backend ingressbackend.Backend, several bool, claims ingressClaims) {
	config := names.IngressRoutes(backend.Port, several)
	proto := meshid.HTTP
	about := ir.About{Service: svc.ID}
	chain := ir.Chain{Side: ir.Ingress, About: about, Protocol: meshid.HTTP, RouteConfig: config, Match: ir.ChainMatch{Port: backend.Port}}
	if backend.HTTPS {
		proto = ir.HTTPS
		chain.MTLS = &ir.MTLS{
			CertSecret: names.SecretServiceCert(b.key.Identity), TrustSecret: names.SecretRootInbound(b.key.Identity), AnyClient: backend.AnyClient}
		if len(backend.Principals) > 0 {
			chain.Access = &ir.Access{Rules: []ir.NetworkRule{{Name: backend.Object.Namespace + "/" + backend.Object.Name, Principals: backend.Principals}}}
		}
	}
	added := false
	for part, serverNames := range b.ingressNames(backend) {
		c := chain
		c.Name = names.IngressChain(svc.ID, backend.Port, proto, part)
		var ok bool
		if c.Match.ServerNames, c.Match.Sources, ok = claims.take(proto, backend.Port, serverNames, backend.Sources); ok {
			l.Chains, added = append(l.Chains, c), true
		}
	}
	if !added {
		return
	}
	cluster := names.LocalClusterIngress(svc.ID, backend.Port)
	b.addCluster(ir.Cluster{Name: cluster, About: about, Kind: ir.Local, Protocol: meshid.HTTP, Port: backend.Port, SameProtocol: true})
	b.addVirtualHost(config, true, ir.VirtualHost{
		Name: names.IngressVirtualHost(svc.ID.FQDN()), About: about, Hosts: []string{"*"},
		Routes: []ir.Route{{Targets: []ir.Target{{Cluster: cluster, Weight: 100}}}},
	})
}

// ingressNames lists the server names of a backend's chains, one list for each chain. Envoy looks for the most specific
// server name first and then stays with the chains that have it; those of the mesh have the names of services. So where a
// backend takes any name, or a wildcard, these are named too: a client may well call a service by its name.
func (b *builder) ingressNames(backend ingressbackend.Backend) [][]string {
	if !backend.HTTPS {
		return [][]string{nil}
	}
	var own []string
	for _, id := range b.key.Services() {
		if slices.ContainsFunc(b.planner.listens[id], func(p snapshot.ServicePort) bool { return p.TargetPort == backend.Port }) {
			own = append(own, id.FQDN())
		}
	}
	if len(backend.ServerNames) == 0 {
		return [][]string{nil, own}
	}
	out := slices.Clone(backend.ServerNames)
	for _, name := range own {
		if slices.ContainsFunc(backend.ServerNames, func(w string) bool { return strings.HasPrefix(w, "*.") && strings.HasSuffix(name, w[1:]) }) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return [][]string{slices.Compact(out)}
}

// ingressClaims are the matches that chains have: Envoy refuses a listener in which two chains have the same.
type ingressClaims map[ingressClaim]bool

type ingressClaim struct {
	proto            meshid.Protocol
	port             uint16
	serverName, from string
}

// take leaves out what chains before have claimed. Two services with one target port lead to one application: for
// plaintext it does not matter which chain takes a client. TLS chains may differ in whom they admit, so a server name that
// another chain takes from one of the same sources stays with that chain alone.
func (c ingressClaims) take(proto meshid.Protocol, port uint16, serverNames []string, sources []netip.Prefix) (keptNames, from []string, ok bool) {
	for _, s := range sources {
		from = append(from, s.String())
	}
	if proto == meshid.HTTP {
		if from == nil {
			return nil, nil, c.claim(ingressClaim{proto, port, "", ""})
		}
		from = slices.DeleteFunc(from, func(s string) bool { return !c.claim(ingressClaim{proto, port, "", s}) })
		return nil, from, len(from) > 0
	}
	each := from
	if each == nil {
		each = []string{""}
	}
	free := func(name string) bool {
		return !slices.ContainsFunc(each, func(s string) bool { return c[ingressClaim{proto, port, name, s}] })
	}
	wanted := serverNames
	if wanted == nil {
		wanted = []string{""}
	}
	kept := slices.DeleteFunc(slices.Clone(wanted), func(n string) bool { return !free(n) })
	for _, n := range kept {
		for _, s := range each {
			c.claim(ingressClaim{proto, port, n, s})
		}
	}
	if serverNames == nil {
		return nil, from, len(kept) > 0
	}
	return kept, from, len(kept) > 0
}

func (c ingressClaims) claim(k ingressClaim) bool {
	if c[k] {
		return false
	}
	c[k] = true
	return true
}
