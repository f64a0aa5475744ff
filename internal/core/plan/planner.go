package plan

import (
	"slices"

	config "openservicemesh.io/osm/api/config/v1alpha2"
	access "openservicemesh.io/osm/api/smi/access/v1alpha3"
	specs "openservicemesh.io/osm/api/smi/specs/v1alpha4"
	split "openservicemesh.io/osm/api/smi/split/v1alpha2"
	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/policy"
	"openservicemesh.io/osm/internal/core/policy/egress"
	"openservicemesh.io/osm/internal/core/policy/ingressbackend"
	"openservicemesh.io/osm/internal/core/policy/meshrootcertificate"
	"openservicemesh.io/osm/internal/core/policy/retry"
	"openservicemesh.io/osm/internal/core/policy/routegroup"
	"openservicemesh.io/osm/internal/core/policy/tcproute"
	"openservicemesh.io/osm/internal/core/policy/tlsparams"
	"openservicemesh.io/osm/internal/core/policy/trafficsplit"
	"openservicemesh.io/osm/internal/core/policy/traffictarget"
	"openservicemesh.io/osm/internal/core/policy/upstreamtrafficsetting"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// Planner is a snapshot with its policies compiled: what every proxy's plan has in common. Plans may be made from several
// goroutines; parts of them may be shared with others, so nobody may change them.
type Planner struct {
	snap   *snapshot.Snapshot
	splits trafficsplit.Splits
	// conditions are the requests that are split, of splits that say so.
	conditions trafficsplit.Conditions
	groups     routegroup.Groups
	byDest     map[meshid.Identity][]traffictarget.Grant
	dests      map[meshid.Identity]map[meshid.Identity]bool // source → destinations it may call
	apexes     map[meshid.Service][]meshid.Service          // backend → apexes split over it, sorted
	tls        snapshot.TLSParams
	ports      map[meshid.Service][]snapshot.ServicePort // the ports that the mesh carries
	listens    map[meshid.Service][]snapshot.ServicePort // the same as their pods see them: one for each target port
	egress     map[meshid.Identity][]egress.Destination  // what is outside of the mesh
	ingress    map[meshid.Service][]ingressbackend.Backend
	settings   upstreamtrafficsetting.Settings
	retries    retry.Policies
	retrying   map[meshid.Identity]bool            // callers that retries are about
	mirrored   map[meshid.Service][]meshid.Service // who gets copies → of whose requests
	alike      alike
	counts     bool // somebody's requests are counted by workload
	findings   []snapshot.Finding
}

// New compiles the snapshot's policies.
func New(s *snapshot.Snapshot) *Planner {
	p := &Planner{
		snap:   s,
		byDest: map[meshid.Identity][]traffictarget.Grant{},
		dests:  map[meshid.Identity]map[meshid.Identity]bool{},
		apexes: map[meshid.Service][]meshid.Service{},
	}
	p.tls, p.findings = tlsparams.Compile(s.Mesh.TLS, s.Mesh.Namespace)
	p.compilePorts()
	groups := p.compileAccess()
	p.compileUndeclared()
	p.compileSplits()
	p.compileEgress(groups)
	p.compileIngress()
	p.compileLimits()
	p.compileMirrors()
	p.counts = counts(s)
	p.findings = append(p.findings, policy.NotSupported(s.Policies)...)
	p.findings = append(p.findings, meshrootcertificate.Check(snapshot.List[*config.MeshRootCertificate](s.Policies, meshrootcertificate.Kind), s.Mesh)...)
	p.findings = snapshot.SortFindings(p.findings)
	return p
}

// Findings lists the problems of the snapshot's policies, sorted.
func (p *Planner) Findings() []snapshot.Finding { return p.findings }

// Snapshot is what the planner was made from.
func (p *Planner) Snapshot() *snapshot.Snapshot { return p.snap }

// KeyOf returns the key of a pod's proxy.
func (p *Planner) KeyOf(pod *snapshot.Pod) Key {
	ipv6 := slices.ContainsFunc(pod.IPs, func(a addr) bool { return a.Is6() && !a.Is4In6() })
	if pod.Finished {
		return Key{Identity: pod.Identity, Finished: true}
	}
	key := NewKey(pod.Identity, p.snap.ServicesOf(pod.ID), pod.Scrape, ipv6)
	if key.Metrics {
		key.Application = ir.MetricsSource(pod.Metrics)
	}
	return key
}

func (p *Planner) compileAccess() routegroup.Groups {
	groups, f1 := routegroup.Compile(snapshot.List[*specs.HTTPRouteGroup](p.snap.Policies, routegroup.Kind))
	p.groups = groups
	ports, f2 := tcproute.Compile(snapshot.List[*specs.TCPRoute](p.snap.Policies, tcproute.Kind))
	lookup := traffictarget.Lookup{
		Match: func(ns, group, match string) ([]ir.RouteMatch, bool) {
			g, ok := groups[routegroup.Key{Namespace: ns, Name: group}]
			return g[match], ok
		},
		Ports: func(ns, name string) ([]uint16, bool) {
			list, ok := ports[tcproute.Key{Namespace: ns, Name: name}]
			return list, ok
		},
	}
	grants, f3 := traffictarget.Compile(snapshot.List[*access.TrafficTarget](p.snap.Policies, traffictarget.Kind), lookup)
	for _, g := range grants {
		p.byDest[g.Destination] = append(p.byDest[g.Destination], g)
		for _, src := range g.Sources {
			if p.dests[src] == nil {
				p.dests[src] = map[meshid.Identity]bool{}
			}
			p.dests[src][g.Destination] = true
		}
	}
	p.findings = slices.Concat(p.findings, f1, f2, f3)
	return groups
}

func (p *Planner) compileSplits() {
	var f []snapshot.Finding
	services := trafficsplit.Lookup{
		Exists: func(id meshid.Service) bool { return p.snap.Service(id) != nil },
		Ports:  func(id meshid.Service) []snapshot.ServicePort { return p.ports[id] },
	}
	objects := snapshot.List[*split.TrafficSplit](p.snap.Policies, trafficsplit.Kind)
	p.splits, f = trafficsplit.Compile(objects, services)
	p.findings = append(p.findings, f...)
	p.conditions, f = trafficsplit.CompileConditions(objects, services, p.allMatches)
	p.findings = append(p.findings, f...)
	for apex, backends := range p.splits {
		for _, b := range backends {
			p.apexes[b.Service] = append(p.apexes[b.Service], apex)
		}
	}
	for _, list := range p.apexes {
		slices.SortFunc(list, meshid.Service.Compare)
	}
}

// allMatches returns every match of a route group.
func (p *Planner) allMatches(namespace, name string) ([]ir.RouteMatch, bool) {
	group, ok := p.groups[routegroup.Key{Namespace: namespace, Name: name}]
	var out []ir.RouteMatch
	for _, list := range group {
		out = append(out, list...)
	}
	return out, ok
}

// Plan computes the configuration of one kind of proxy.
func (p *Planner) Plan(k Key) ir.Proxy {
	b := p.builder(k)
	tls := p.tls
	proxy := ir.Proxy{
		Identity:    k.Identity,
		TrustDomain: p.snap.Mesh.TrustDomain,
		TLS:         ir.TLS{MinVersion: tls.MinVersion, MaxVersion: tls.MaxVersion, CipherSuites: tls.CipherSuites, Curves: tls.Curves},
		IPv6:        k.IPv6,
		Metrics:     k.Metrics,
		Application: k.Application,
		AccessLog:   ir.AccessLog(p.snap.Mesh.AccessLog),
	}
	if k.Finished {
		b.addCluster(ir.Cluster{Name: names.ClusterEnd, Kind: ir.End})
		proxy.RouteConfigs, proxy.Clusters, proxy.Trusts = b.collect()
		return proxy
	}
	c := p.calls(k)
	proxy.Outbound = c.listener
	proxy.Inbound = b.inbound()
	b.authorizeExternally(proxy.Inbound)
	b.trace(proxy.Inbound)
	if k.Metrics {
		b.addCluster(ir.Cluster{Name: names.ClusterMetrics, Kind: ir.Admin})
		if port := k.Application.Port; port != 0 {
			b.addCluster(ir.Cluster{Name: names.ClusterOwnMetrics, Kind: ir.Figures, Port: port})
		}
	}
	routes, clusters, trusts := b.collect()
	proxy.RouteConfigs = join(c.routes, routes, func(rc *ir.RouteConfig) string { return rc.Name })
	proxy.Clusters = join(c.clusters, clusters, func(c *ir.Cluster) string { return c.Name })
	proxy.Trusts = join(c.trusts, trusts, func(t *ir.Trust) string { return t.Secret })
	return proxy
}

func (p *Planner) builder(k Key) *builder {
	return &builder{planner: p, key: k, clusters: map[string]ir.Cluster{}, trusts: map[string]ir.Trust{}, routes: map[string]*ir.RouteConfig{}}
}
