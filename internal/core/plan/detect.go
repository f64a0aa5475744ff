package plan

import (
	"slices"
	"strings"

	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/policy/trafficsplit"
	"openservicemesh.io/osm/internal/core/policy/traffictarget"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// detects reports whether a call to a port is looked at to find out what it carries. Where rules are in force, it is only if
// somebody behind the port takes bytes of the caller: every other connection carries requests, however late they come.
func (b *builder) detects(port snapshot.ServicePort, takes bool) bool {
	mesh := b.planner.snap.Mesh
	return mesh.Detect && port.Undeclared && (mesh.Permissive || takes)
}

// takesBytes reports whether one of some identities lets the proxy send bytes to a target port that declares nothing.
func (b *builder) takesBytes(behind []meshid.Identity, target uint16) bool {
	return slices.ContainsFunc(behind, func(id meshid.Identity) bool {
		return slices.ContainsFunc(b.planner.byDest[id], func(g traffictarget.Grant) bool {
			return grantsBytes(g, target) && slices.Contains(g.Sources, b.key.Identity)
		})
	})
}

// serviceTakesBytes is takesBytes of a service, or of those that its bytes are split over.
func (b *builder) serviceTakesBytes(svc *snapshot.Service, port snapshot.ServicePort) bool {
	return b.takesBytes(b.planner.snap.Backing(svc.ID), port.TargetPort) ||
		slices.ContainsFunc(b.splitBytes(svc), func(backend trafficsplit.Backend) bool {
			to, ok := trafficsplit.BackendPort(b.planner.ports[backend.Service], port)
			return ok && to.Undeclared && b.takesBytes(b.planner.snap.Backing(backend.Service), to.TargetPort)
		})
}

// grantsBytes reports whether a grant opens a port that declares no protocol to bytes. Bytes cannot be judged by rules about
// requests, so a target that has such rules opens none, and neither does one that is silent about ports: it is the port's
// number in a TCPRoute that says the port is no HTTP server's.
func grantsBytes(g traffictarget.Grant, target uint16) bool {
	return !g.Requests && slices.Contains(g.TCPPorts, target)
}

// greetingPorts are the port numbers on which the proxy dials a server that speaks first. Nothing is detected there: the
// server's greeting would wait, since ports are all that Envoy's inspectors can be limited to.
func (b *builder) greetingPorts(upstreams []*snapshot.Service) map[uint16]bool {
	out := map[uint16]bool{}
	for _, svc := range upstreams {
		for _, p := range b.planner.called(svc) {
			if p.Protocol == meshid.TCPServerFirst {
				out[dialled(svc, p)] = true
			}
		}
	}
	return out
}

// detected gives an outbound HTTP chain a twin for what is no HTTP, where that is looked for.
func (b *builder) detected(port snapshot.ServicePort, chain ir.Chain, id meshid.Service, takes bool, raw func() []ir.Target) []ir.Chain {
	if !b.detects(port, takes) || b.greeting[chain.Match.Port] {
		return []ir.Chain{chain}
	}
	twin := ir.Chain{Name: twinName(chain), About: chain.About, Match: chain.Match, Protocol: meshid.TCP, TCP: raw(), Idle: b.bytesIdle(b.planner.serviceOf(id))}
	chain.Match.Detected = true
	return []ir.Chain{chain, twin}
}

// twinName is the name of a detected chain's twin.
func twinName(chain ir.Chain) string {
	return strings.TrimSuffix(chain.Name, string(meshid.HTTP)) + string(meshid.TCP)
}

// rawTargets are the clusters of a port for bytes, split as its requests are.
func (b *builder) rawTargets(svc *snapshot.Service, port snapshot.ServicePort) []ir.Target {
	var out []ir.Target
	var sum uint64
	for _, backend := range b.splitBytes(svc) {
		to, ok := trafficsplit.BackendPort(b.planner.ports[backend.Service], port)
		if !ok || !to.Undeclared {
			continue
		}
		sum += uint64(backend.Weight)
		leaf := b.planner.snap.Service(backend.Service)
		out = append(out, ir.Target{Cluster: b.rawCluster(leaf.ID, to, b.accepted(leaf)), Weight: backend.Weight})
	}
	if sum > 0 {
		return out
	}
	return []ir.Target{{Cluster: b.rawCluster(svc.ID, port, b.accepted(svc)), Weight: 100}}
}

// rawCluster adds the twin of a cluster for bytes: the same addresses and certificates, and another word in the handshake by
// which the server's sidecar tells them from requests. The addresses come under the twin's own name: Envoy does not ask again
// for those that another cluster has, and would wait for them until they change.
func (b *builder) rawCluster(id meshid.Service, port snapshot.ServicePort, accepted []string) string {
	c := b.clusters[b.addMeshCluster(id, port, accepted, b.clientLimits(id))]
	c.Name, c.Protocol, c.ALPN = names.UpstreamClusterBytes(id, port.TargetPort), meshid.TCP, names.ALPNMeshBytes
	b.addCluster(c)
	return c.Name
}

// inboundBytes is the chain for what is no HTTP on a port that declares nothing. Where rules are in force it admits whom
// they grant bytes, and is left out when that is nobody.
func (b *builder) inboundBytes(svc *snapshot.Service, http ir.Chain) []ir.Chain {
	mesh := b.planner.snap.Mesh
	undeclared := slices.ContainsFunc(b.planner.listens[svc.ID], func(p snapshot.ServicePort) bool {
		return p.TargetPort == http.Match.Port && p.Undeclared
	})
	if !mesh.Detect || !undeclared {
		return nil
	}
	mtls := *http.MTLS
	chain := ir.Chain{
		Name: names.InboundChain(svc.ID, http.Match.Port, meshid.TCP), About: http.About, Match: http.Match, Protocol: meshid.TCP, MTLS: &mtls,
		ConnectionRate: http.ConnectionRate, ConnectionQuota: http.ConnectionQuota, Idle: b.serverIdle(svc.ID),
		TCP: []ir.Target{{Cluster: names.LocalCluster(svc.ID, http.Match.Port), Weight: 100}},
	}
	chain.Match.ALPN = names.ALPNMeshBytes
	if mesh.Permissive {
		return []ir.Chain{chain}
	}
	chain.Access = b.bytesAccess(http.Match.Port)
	if len(chain.Access.Rules) == 0 {
		return nil
	}
	b.closeHandshake(&chain, names.SecretRootInboundBytes(b.key.Identity, http.Match.Port))
	return []ir.Chain{chain}
}

// bytesAccess says who may send bytes to a port that declares nothing.
func (b *builder) bytesAccess(target uint16) *ir.Access {
	access := &ir.Access{}
	for _, g := range b.planner.byDest[b.key.Identity] {
		if grantsBytes(g, target) {
			access.Rules = append(access.Rules, ir.NetworkRule{Name: g.Name, Principals: b.principals(g.Sources), Ports: []uint16{target}})
		}
	}
	return access
}

// besideTLS mends detected chains of ports on which an egress policy has TLS looked for too: what a TLS client says it speaks
// would pass for HTTP. Plaintext alone is HTTP there, and what is neither needs a chain of its own, for Envoy tells plaintext
// from TLS before it looks for HTTP and does not go back.
func besideTLS(chains []ir.Chain) []ir.Chain {
	tls := map[uint16]bool{}
	for _, c := range chains {
		tls[c.Match.Port] = tls[c.Match.Port] || c.Side == ir.Egress && (c.Protocol == meshid.HTTP || c.Protocol == ir.HTTPS)
	}
	twins := map[string]bool{}
	for i := range chains {
		if m := &chains[i].Match; m.Detected && tls[m.Port] {
			m.Plaintext = true
			twins[twinName(chains[i])] = true
		}
	}
	out := slices.Clone(chains)
	for _, c := range chains {
		if twins[c.Name] {
			c.Name, c.Match.Plaintext = names.PlainChain(c.Name), true
			out = append(out, c)
		}
	}
	return out
}
