package plan

import (
	"net/netip"
	"slices"
	"strings"

	policyv1 "openservicemesh.io/osm/api/policy/v1alpha1"
	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/policy/egress"
	"openservicemesh.io/osm/internal/core/policy/routegroup"
	"openservicemesh.io/osm/internal/core/policy/upstreamtrafficsetting"
	"openservicemesh.io/osm/internal/core/snapshot"
)

func (p *Planner) compileEgress(groups routegroup.Groups) {
	settings := map[meshid.Service]*policyv1.UpstreamTrafficSetting{}
	for _, o := range snapshot.List[*policyv1.UpstreamTrafficSetting](p.snap.Policies, upstreamtrafficsetting.Kind) {
		settings[meshid.Service{Namespace: o.Namespace, Name: o.Name}] = o
	}
	lookup := egress.Lookup{
		MeshNamespace: p.snap.Mesh.Namespace,
		Node:          p.snap.IsNode,
		Service:       func(id meshid.Service) bool { return p.snap.Service(id) != nil },
		Requests: func(ns, name string) ([]ir.RouteMatch, bool) {
			g, ok := groups[routegroup.Key{Namespace: ns, Name: name}]
			var all []ir.RouteMatch
			for _, matches := range g {
				all = append(all, matches...)
			}
			return all, ok
		},
		Limits: func(ns, name string) (*ir.Limits, bool, error) {
			o := settings[meshid.Service{Namespace: ns, Name: name}]
			if o == nil {
				return nil, false, nil
			}
			l, err := upstreamtrafficsetting.Limits(o)
			return l, true, err
		},
	}
	policies, f1 := egress.Compile(snapshot.List[*policyv1.Egress](p.snap.Policies, egress.Kind), lookup)
	merged, f2 := egress.Merge(policies)
	p.egress = merged
	p.findings = slices.Concat(p.findings, f1, f2)
}

// egress plans what the pod may reach outside of the mesh. claimed are the addresses of services, which policies about the
// outside do not concern. In front of passthrough the policies add what they know about their ports.
func (b *builder) egress(l *ir.Listener, claimed map[netip.AddrPort]bool) {
	for _, d := range b.planner.egress[b.key.Identity] {
		if len(d.Hosts) > 0 {
			b.egressHosts(d)
		}
		refuse := false
		for part, o := range d.Openings {
			ranges := slices.DeleteFunc(slices.Clone(o.Ranges), func(r netip.Prefix) bool {
				return r.IsSingleIP() && claimed[netip.AddrPortFrom(r.Addr(), d.Port)]
			})
			if len(o.Ranges) > 0 && len(ranges) == 0 {
				continue
			}
			l.Chains = append(l.Chains, b.egressChains(d, o, part, ranges)...)
			refuse = refuse || (o.HTTPS || o.TCP != "") && reachesRefused(ranges, b.planner.snap.Nodes())
		}
		if refuse && !l.Passthrough {
			l.Chains = append(l.Chains, b.refusedChain(d.Port))
		}
	}
}

func (b *builder) egressChains(d egress.Destination, o egress.Opening, part int, ranges []netip.Prefix) []ir.Chain {
	chain := func(p meshid.Protocol) ir.Chain {
		c := ir.Chain{Name: names.EgressChain(p, d.Port, part), Side: ir.Egress, About: ir.About{Port: d.Port}, Protocol: p, Match: ir.ChainMatch{Port: d.Port}}
		for _, r := range ranges {
			c.Match.Ranges = append(c.Match.Ranges, r.String())
		}
		return c
	}
	var out []ir.Chain
	if o.HTTP {
		c := chain(meshid.HTTP)
		c.RouteConfig = names.EgressRoutes(d.Port)
		// With no routes to judge paths by, the host gets them as they were sent.
		c.NormalizePaths = slices.ContainsFunc(d.Hosts, func(h egress.Host) bool { return h.Requests != nil })
		out = append(out, c)
	}
	target := []ir.Target{{Cluster: names.EgressPortCluster(d.Port), Weight: 100}}
	if o.HTTPS || o.TCP != "" {
		b.addCluster(ir.Cluster{Name: target[0].Cluster, About: ir.About{Port: d.Port}, Kind: ir.OriginalDst, Limits: d.Limits})
	}
	if o.HTTPS {
		c := chain(ir.HTTPS)
		c.Match.ServerNames, c.TCP, c.Idle = o.ServerNames, target, connectionIdle(d.Limits)
		out = append(out, c)
	}
	if o.TCP != "" {
		c := chain(o.TCP)
		c.TCP, c.Idle = target, connectionIdle(d.Limits)
		out = append(out, c)
		if o.HTTP {
			// Envoy tells plaintext from TLS before it looks for HTTP, and does not go back: beside a chain for plaintext
			// HTTP, other plaintext needs one of its own.
			c.Name, c.Match.Plaintext = names.PlainChain(c.Name), true
			out = append(out, c)
		}
	}
	return out
}

func (b *builder) egressHosts(d egress.Destination) {
	config := names.EgressRoutes(d.Port)
	for _, h := range d.Hosts {
		cluster := names.EgressCluster(h.Name, d.Port)
		b.addCluster(ir.Cluster{
			Name: cluster, About: ir.About{Port: d.Port}, Kind: ir.DNS, Protocol: meshid.HTTP, SameProtocol: true,
			Host: strings.Trim(h.Name, "[]"), Port: d.Port, Limits: h.Limits,
		})
		targets := []ir.Target{{Cluster: cluster, Weight: 100}}
		every := ir.Route{Targets: targets}
		timed(&every, h.Limits)
		routes := []ir.Route{every}
		if h.Requests != nil {
			routes = []ir.Route{}
			for _, m := range h.Requests {
				every.Match = m
				routes = append(routes, every)
			}
		}
		b.addVirtualHost(config, false, ir.VirtualHost{
			Name: names.EgressVirtualHost(h.Name), About: ir.About{Port: d.Port}, Hosts: []string{h.Name, h.Name + ":" + portString(d.Port)}, Routes: routes,
		})
	}
	b.routes[config].External = true
}

// refusedChain closes connections to what is not outside, however wide the ranges are that policies open: the narrowest
// range decides. It leads nowhere, so there is no connection that a filter would have to stop in time.
func (b *builder) refusedChain(port uint16) ir.Chain {
	b.addCluster(ir.Cluster{Name: names.ClusterRefused, Kind: ir.Nowhere})
	c := ir.Chain{
		Name: names.EgressRefusedChain(port), About: ir.About{Port: port}, Side: ir.Egress, Protocol: meshid.TCP, Match: ir.ChainMatch{Port: port},
		TCP: []ir.Target{{Cluster: names.ClusterRefused, Weight: 100}},
	}
	for _, r := range refusedRanges(b.planner.snap.Nodes()) {
		c.Match.Ranges = append(c.Match.Ranges, r.String())
	}
	return c
}

func refusedRanges(nodes []netip.Addr) []netip.Prefix {
	out := egress.RefusedRanges()
	for _, n := range nodes {
		out = append(out, netip.PrefixFrom(n, n.BitLen()))
	}
	return out
}

// reachesRefused reports whether ranges (none: any address) have something in common with what is refused.
func reachesRefused(ranges []netip.Prefix, nodes []netip.Addr) bool {
	return len(ranges) == 0 || slices.ContainsFunc(ranges, func(r netip.Prefix) bool {
		return slices.ContainsFunc(refusedRanges(nodes), r.Overlaps)
	})
}
