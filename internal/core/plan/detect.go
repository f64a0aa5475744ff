package plan

import (
	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/policy/trafficsplit"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// detects reports whether connections to a port are looked at to find out what they carry. In SMI mode they never are:
// bytes cannot be judged by rules about requests, so they would be a way around them.
func (b *builder) detects(port snapshot.ServicePort) bool {
	mesh := b.planner.snap.Mesh
	return mesh.Detect && mesh.Permissive && port.Undeclared
}

// serverFirstOn reports whether callers dial a server that speaks first on a port number. Nothing is detected there: the
// server's greeting would wait, since ports are all that Envoy's inspectors can be limited to.
func (b *builder) serverFirstOn(to uint16) bool {
	for _, svc := range b.planner.snap.Services {
		for _, p := range b.planner.ports[svc.ID] {
			if p.Protocol == meshid.TCPServerFirst && dialled(svc, p) == to {
				return true
			}
		}
	}
	return false
}

// detected gives an outbound HTTP chain a twin for what is no HTTP, where that is looked for.
func (b *builder) detected(port snapshot.ServicePort, chain ir.Chain, id meshid.Service, raw func() []ir.Target) []ir.Chain {
	if !b.detects(port) || b.serverFirstOn(chain.Match.Port) {
		return []ir.Chain{chain}
	}
	twin := ir.Chain{Name: names.OutboundChain(id, port.Port, meshid.TCP), Match: chain.Match, Protocol: meshid.TCP, TCP: raw()}
	chain.Match.Detected = true
	return []ir.Chain{chain, twin}
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

// rawCluster adds the twin of a cluster for bytes: the same endpoints and certificates, and another word in the handshake
// by which the server's sidecar tells them from requests.
func (b *builder) rawCluster(id meshid.Service, port snapshot.ServicePort, accepted []string) string {
	c := b.clusters[b.addMeshCluster(id, port, accepted, b.clientLimits(id))]
	c.EndpointsOf = c.Name
	c.Name, c.Protocol, c.ALPN = names.UpstreamClusterBytes(id, port.TargetPort), meshid.TCP, names.ALPNMeshBytes
	b.addCluster(c)
	return c.Name
}

// inboundBytes is the chain for what is no HTTP on a port that declares nothing.
func (b *builder) inboundBytes(svc *snapshot.Service, http ir.Chain) []ir.Chain {
	for _, p := range b.planner.ports[svc.ID] {
		if p.TargetPort != http.Match.Port || !b.detects(p) {
			continue
		}
		chain := ir.Chain{
			Name: names.InboundChain(svc.ID, p.TargetPort, meshid.TCP), Match: http.Match, Protocol: meshid.TCP, MTLS: http.MTLS,
			ConnectionRate: http.ConnectionRate, ConnectionQuota: http.ConnectionQuota,
			TCP: []ir.Target{{Cluster: names.LocalCluster(svc.ID, p.TargetPort), Weight: 100}},
		}
		chain.Match.ALPN = names.ALPNMeshBytes
		return []ir.Chain{chain}
	}
	return nil
}
