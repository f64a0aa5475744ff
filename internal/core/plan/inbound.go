package plan

import (
	"slices"

	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/policy/traffictarget"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// inbound plans what the pod answers: one chain per service and target port it backs. The chains stand in either mode;
// without a grant they admit nobody.
func (b *builder) inbound() *ir.Listener {
	l := &ir.Listener{}
	for _, id := range b.key.Services() {
		svc := b.planner.snap.Service(id)
		if svc == nil {
			continue
		}
		done := map[uint16]bool{}
		for _, port := range b.planner.listens[id] {
			if !done[port.TargetPort] {
				done[port.TargetPort] = true
				chain := b.inboundChain(svc, port)
				l.Chains = append(append(l.Chains, chain), b.inboundBytes(svc, chain)...)
			}
		}
	}
	if len(l.Chains) == 0 {
		return nil
	}
	trust := names.SecretRootInbound(b.key.Identity)
	b.trusts[trust] = ir.Trust{Secret: trust}
	b.ingress(l)
	sortChains(l.Chains)
	return l
}

func (b *builder) inboundChain(svc *snapshot.Service, port snapshot.ServicePort) ir.Chain {
	permissive := b.planner.snap.Mesh.Permissive
	chain := ir.Chain{
		Name:     names.InboundChain(svc.ID, port.TargetPort, port.Protocol),
		About:    ir.About{Service: svc.ID},
		Match:    ir.ChainMatch{Port: port.TargetPort, ServerNames: serverNames(svc)},
		Protocol: port.Protocol,
		MTLS:     &ir.MTLS{CertSecret: names.SecretServiceCert(b.key.Identity), TrustSecret: names.SecretRootInbound(b.key.Identity)},
	}
	if !permissive {
		chain.Access = b.networkAccess(port)
	}
	b.limitChain(&chain, svc.ID)
	cluster := b.localCluster(svc, port)
	if !port.Protocol.IsHTTP() {
		b.closeHandshake(&chain, names.SecretRootInboundPort(b.key.Identity, port.TargetPort))
		chain.TCP = []ir.Target{{Cluster: cluster, Weight: 100}}
		return chain
	}
	// With no rules to judge paths by, the application gets them as they were sent.
	chain.NormalizePaths = !permissive
	chain.RouteConfig = names.InboundRoutes(port.TargetPort)
	b.inboundHosts(chain.RouteConfig, svc, port.TargetPort, cluster)
	return chain
}

// inboundHosts adds the virtual host of the service, and one for each apex that is split over it: clients keep calling
// the apex by its own name. Several ports of a service may lead to one target port, and callers name any of them.
func (b *builder) inboundHosts(config string, svc *snapshot.Service, target uint16, cluster string) {
	routes, access := b.inboundRoutes(cluster)
	var own, numbers []uint16
	for _, p := range b.planner.listens[svc.ID] {
		if p.TargetPort == target {
			own, numbers = append(own, dialled(svc, p)), append(numbers, p.Port)
		}
	}
	host := func(id meshid.Service, hosts []string) {
		b.addVirtualHost(config, true, b.limitHost(ir.VirtualHost{
			Name: names.InboundVirtualHost(id.FQDN()), About: ir.About{Service: svc.ID}, Hosts: hosts, Routes: routes, Access: access,
		}, svc.ID))
	}
	host(svc.ID, withPods(svc, serviceHosts(svc.ID, own, true)))
	// Copies of requests bear the name of the service that was called, too.
	others := slices.Concat(b.planner.apexes[svc.ID], b.planner.mirrored[svc.ID])
	slices.SortFunc(others, meshid.Service.Compare)
	for _, id := range slices.Compact(others) {
		apex := b.planner.snap.Service(id)
		var ports []uint16
		for _, p := range b.planner.called(apex) {
			if slices.Contains(numbers, p.Port) {
				ports = append(ports, dialled(apex, p))
			}
		}
		// An apex the pod backs too, on this target port, brings its own virtual host.
		brings := slices.Contains(b.key.Services(), id) &&
			slices.ContainsFunc(b.planner.listens[id], func(p snapshot.ServicePort) bool { return p.TargetPort == target })
		if !brings {
			host(id, serviceHosts(id, ports, true))
		}
	}
}

// inboundRoutes returns one route for everything in permissive mode, else a route for each granted match and the rules
// that say who may use which. A route without a fitting rule is 403, no route at all is 404.
func (b *builder) inboundRoutes(cluster string) ([]ir.Route, *ir.HTTPAccess) {
	targets := []ir.Target{{Cluster: cluster, Weight: 100}}
	if b.planner.snap.Mesh.Permissive {
		return []ir.Route{{Targets: targets}}, nil
	}
	access := &ir.HTTPAccess{Rules: []ir.HTTPRule{}}
	var matches []ir.RouteMatch
	for _, g := range b.planner.byDest[b.key.Identity] {
		if len(g.HTTP) == 0 {
			continue
		}
		matches = append(matches, g.HTTP...)
		access.Rules = append(access.Rules, ir.HTTPRule{Name: g.Name, Matches: g.HTTP, Principals: b.principals(g.Sources)})
	}
	slices.SortFunc(matches, ir.CompareRouteMatch)
	matches = slices.CompactFunc(matches, ir.EqualRouteMatch)
	routes := make([]ir.Route, 0, len(matches))
	for _, m := range matches {
		routes = append(routes, ir.Route{Match: m, Targets: targets})
	}
	return routes, access
}

// networkAccess says who may connect to a port at all.
func (b *builder) networkAccess(port snapshot.ServicePort) *ir.Access {
	access := &ir.Access{Rules: []ir.NetworkRule{}}
	for _, g := range b.planner.byDest[b.key.Identity] {
		ports := g.TCPPorts
		if g.AnyPort || grantsRequestsOn(g, port) {
			ports = nil
		} else if len(ports) == 0 {
			continue // in a rule, no ports would mean every port
		}
		access.Rules = append(access.Rules, ir.NetworkRule{Name: g.Name, Principals: b.principals(g.Sources), Ports: ports})
	}
	return access
}

// grantsRequestsOn reports whether a grant with port limits still opens an HTTP port, because it grants requests too.
func grantsRequestsOn(g traffictarget.Grant, port snapshot.ServicePort) bool {
	return port.Protocol.IsHTTP() && len(g.HTTP) > 0
}

// localCluster adds the application behind a port and returns the cluster's name. Sidecars speak HTTP/2 to each other
// whatever the applications speak, so an "http" port gets a twin for requests whose caller spoke HTTP/2.
func (b *builder) localCluster(svc *snapshot.Service, port snapshot.ServicePort) string {
	name := names.LocalCluster(svc.ID, port.TargetPort)
	b.addCluster(ir.Cluster{Name: name, About: ir.About{Service: svc.ID}, Kind: ir.Local, Protocol: port.Protocol, Port: port.TargetPort})
	if port.Protocol == meshid.HTTP {
		twin := names.LocalClusterHTTP2(svc.ID, port.TargetPort)
		b.addCluster(ir.Cluster{Name: twin, About: ir.About{Service: svc.ID}, Kind: ir.Local, Protocol: port.Protocol, Port: port.TargetPort, HTTP2Local: true})
	}
	return name
}
