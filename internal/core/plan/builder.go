package plan

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/snapshot"
)

type addr = netip.Addr

// NobodysName is the only accepted certificate name of a service that no pod backs: no certificate bears it, because
// ".invalid" is reserved (RFC 2606). An empty list would accept every workload of the mesh.
const NobodysName = "nobody.invalid"

// builder collects one proxy's plan.
type builder struct {
	planner  *Planner
	key      Key
	clusters map[string]ir.Cluster
	trusts   map[string]ir.Trust
	routes   map[string]*ir.RouteConfig
	taken    map[takenName]bool
	greeting map[uint16]bool // see greetingPorts
}

// takenName is a host, or a virtual host's own name, that a route config has already.
type takenName struct {
	config, name string
	host         bool
}

func (b *builder) addCluster(c ir.Cluster) {
	if _, ok := b.clusters[c.Name]; !ok {
		b.clusters[c.Name] = c
	}
}

// addVirtualHost adds a host to a route config. Host names another virtual host of the config already has are left
// out, since Envoy refuses a config that says a name twice; a virtual host left without names is dropped.
func (b *builder) addVirtualHost(config string, inbound bool, v ir.VirtualHost) {
	rc := b.routes[config]
	if rc == nil {
		rc = &ir.RouteConfig{Name: config, Inbound: inbound}
		b.routes[config] = rc
	}
	if b.taken == nil {
		b.taken = map[takenName]bool{}
	}
	own := takenName{config: config, name: v.Name}
	host := func(h string) takenName { return takenName{config: config, name: h, host: true} }
	if b.taken[own] {
		return
	}
	v.Hosts = slices.DeleteFunc(slices.Clone(v.Hosts), func(h string) bool { return b.taken[host(h)] })
	if len(v.Hosts) == 0 {
		return
	}
	b.taken[own] = true
	for _, h := range v.Hosts {
		b.taken[host(h)] = true
	}
	rc.VirtualHosts = append(rc.VirtualHosts, v)
}

func (b *builder) principals(ids []meshid.Identity) []string {
	out := make([]string, 0, len(ids))
	for _, id := range ids {
		out = append(out, id.Principal(b.planner.snap.Mesh.TrustDomain))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// meshCluster adds the cluster (and the trust) of one port of a service and returns its name.
func (b *builder) meshCluster(svc *snapshot.Service, port snapshot.ServicePort) string {
	return b.addMeshCluster(svc.ID, port, b.accepted(svc), b.clientLimits(svc.ID))
}

// accepted lists the certificate names of whoever may answer for a service.
func (b *builder) accepted(svc *snapshot.Service) []string {
	return b.principals(b.planner.snap.Backing(svc.ID))
}

func (b *builder) addMeshCluster(id meshid.Service, port snapshot.ServicePort, accepted []string, limits *ir.Limits) string {
	name := names.UpstreamCluster(id, port.TargetPort)
	if len(accepted) == 0 {
		accepted = []string{NobodysName}
	}
	b.addCluster(ir.Cluster{
		Name: name, About: ir.About{Service: id}, Kind: ir.Mesh, Protocol: port.Protocol, ServerName: id.FQDN(),
		CertSecret: names.SecretServiceCert(b.key.Identity), TrustSecret: names.SecretRootOutbound, Accepted: accepted,
		Limits: limits,
	})
	b.trusts[names.SecretRootOutbound] = ir.Trust{Secret: names.SecretRootOutbound}
	return name
}

func (b *builder) collect() ([]ir.RouteConfig, []ir.Cluster, []ir.Trust) {
	var routes []ir.RouteConfig
	for _, name := range slices.Sorted(maps.Keys(b.routes)) {
		rc := *b.routes[name]
		slices.SortFunc(rc.VirtualHosts, func(x, y ir.VirtualHost) int { return cmp.Compare(x.Name, y.Name) })
		routes = append(routes, rc)
	}
	var clusters []ir.Cluster
	for _, name := range slices.Sorted(maps.Keys(b.clusters)) {
		clusters = append(clusters, b.clusters[name])
	}
	var trusts []ir.Trust
	for _, name := range slices.Sorted(maps.Keys(b.trusts)) {
		trusts = append(trusts, b.trusts[name])
	}
	return routes, clusters, trusts
}

func sortChains(chains []ir.Chain) {
	slices.SortFunc(chains, func(x, y ir.Chain) int { return cmp.Compare(x.Name, y.Name) })
}
