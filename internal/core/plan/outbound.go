package plan

import (
	"net/netip"
	"slices"

	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/policy/trafficsplit"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// outbound plans what the pod may call. It returns nil when that is nothing: with no listener on the port the pod's
// connections are redirected to, the kernel refuses them.
func (b *builder) outbound() *ir.Listener {
	mesh := b.planner.snap.Mesh
	l := &ir.Listener{Passthrough: mesh.Egress}
	claimed := map[netip.AddrPort]bool{}
	upstreams := b.upstreams()
	b.greeting = b.greetingPorts(upstreams)
	for _, svc := range upstreams {
		for _, port := range b.planner.called(svc) {
			l.Chains = append(l.Chains, b.podChains(svc, port, claimed)...)
			if chain, ok := b.outboundChain(svc, port, claimed); ok {
				l.Chains = append(l.Chains, b.detected(port, chain, svc.ID, b.serviceTakesBytes(svc, port), func() []ir.Target { return b.rawTargets(svc, port) })...)
			}
		}
	}
	b.egress(l, claimed)
	l.Chains = besideTLS(l.Chains)
	if l.Passthrough {
		b.addCluster(ir.Cluster{Name: names.ClusterPassthrough, Kind: ir.OriginalDst})
	}
	if len(l.Chains) == 0 && !l.Passthrough {
		return nil
	}
	sortChains(l.Chains)
	return l
}

// upstreams lists the services the proxy may call, sorted: all of them in permissive mode, else those behind which a
// permitted identity runs, and the apexes that are split over one of those.
func (b *builder) upstreams() []*snapshot.Service {
	p := b.planner
	if p.snap.Mesh.Permissive {
		return p.snap.Services
	}
	permitted := p.dests[b.key.Identity]
	if len(permitted) == 0 {
		return nil
	}
	found := map[meshid.Service]bool{}
	for _, svc := range p.snap.Services {
		if slices.ContainsFunc(p.snap.Backing(svc.ID), func(id meshid.Identity) bool { return permitted[id] }) {
			found[svc.ID] = true
			for _, apex := range p.apexes[svc.ID] {
				found[apex] = true
			}
		}
	}
	var out []*snapshot.Service
	for _, svc := range p.snap.Services {
		if found[svc.ID] {
			out = append(out, svc)
		}
	}
	return out
}

func (b *builder) outboundChain(svc *snapshot.Service, port snapshot.ServicePort, claimed map[netip.AddrPort]bool) (ir.Chain, bool) {
	to, addrs := dialled(svc, port), b.addresses(svc, port)
	// Two headless services may stand before the same pods. Envoy refuses a listener in which two chains match the same
	// destination, so the first service, in order, keeps the address.
	addrs = slices.DeleteFunc(addrs, func(a netip.Addr) bool {
		ap := netip.AddrPortFrom(a, to)
		taken := claimed[ap]
		claimed[ap] = true
		return taken
	})
	targets := b.targets(svc, port)
	if len(targets) == 0 {
		return ir.Chain{}, false
	}
	chain := ir.Chain{
		Name:     b.planner.outboundName(svc, svc.ID, port),
		About:    ir.About{Service: svc.ID},
		Match:    ir.ChainMatch{Port: to, Addresses: addrStrings(addrs)},
		Protocol: port.Protocol,
	}
	if port.Protocol.IsHTTP() {
		chain.RouteConfig = names.OutboundRoutes(to)
		b.addVirtualHost(chain.RouteConfig, false, ir.VirtualHost{
			Name:   names.OutboundVirtualHost(svc.ID.FQDN()),
			About:  ir.About{Service: svc.ID},
			Hosts:  names.ServiceHosts(svc.ID, to, svc.ID.Namespace == b.key.Identity.Namespace),
			Routes: b.clientRoutes(svc, port, b.splitRoutes(svc, port, targets)),
		})
	} else {
		chain.TCP, chain.Idle = targets, b.bytesIdle(svc.ID)
	}
	return chain, len(addrs) > 0
}

// addresses returns what a client of the port dials: the virtual addresses or, of a headless service, those of the
// pods that have no name of their own (podChains plans the others).
func (b *builder) addresses(svc *snapshot.Service, port snapshot.ServicePort) []netip.Addr {
	if !svc.Headless {
		return slices.Clone(svc.ClusterIPs)
	}
	var out []netip.Addr
	split := len(b.split(svc, port)) > 0
	for _, ep := range b.planner.snap.Endpoints[meshid.ServicePort{Service: svc.ID, Port: port.Port}] {
		if b.owns(svc, ep) && b.planner.answers(svc, ep, port) && (ep.Hostname == "" || split && !port.Protocol.IsHTTP()) {
			out = append(out, ep.Addr.Addr())
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// targets returns the clusters of a service port: its own, or those of its split's backends that can take its share.
func (b *builder) targets(svc *snapshot.Service, port snapshot.ServicePort) []ir.Target {
	var out []ir.Target
	var sum uint64
	for _, backend := range b.split(svc, port) {
		to, ok := trafficsplit.BackendPort(b.planner.ports[backend.Service], port)
		if !ok {
			continue
		}
		sum += uint64(backend.Weight)
		out = append(out, ir.Target{Cluster: b.meshCluster(b.planner.snap.Service(backend.Service), to), Weight: backend.Weight})
	}
	if sum > 0 {
		return out
	}
	return []ir.Target{{Cluster: b.meshCluster(svc, port), Weight: 100}}
}

// owns reports whether an endpoint's address is that of a pod of the service's namespace. Any author of an EndpointSlice
// can write any address into it; taking the word for it would give him the connections of others to that address.
func (b *builder) owns(svc *snapshot.Service, ep snapshot.Endpoint) bool {
	pod := b.planner.snap.Pod(ep.Pod)
	return pod != nil && ep.Pod.Namespace == svc.ID.Namespace && slices.Contains(pod.IPs, ep.Addr.Addr())
}

func addrStrings(addrs []netip.Addr) []string {
	out := make([]string, 0, len(addrs))
	for _, a := range addrs {
		out = append(out, a.String())
	}
	return out
}
