package plan

import (
	"cmp"
	"net/netip"
	"slices"

	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// podChains plans the pods of a headless service that have names of their own, as those of a StatefulSet do: who calls
// such a pod means that pod, so each has a chain on its address, a cluster with it alone, and its host names.
func (b *builder) podChains(svc *snapshot.Service, port snapshot.ServicePort, claimed map[netip.AddrPort]bool) []ir.Chain {
	to := dialled(svc, port)
	var chains []ir.Chain
	for _, pod := range b.namedPods(svc, port) {
		chain := ir.Chain{
			Name:     b.planner.outboundName(svc, pod.id, port),
			About:    ir.About{Service: pod.id},
			Match:    ir.ChainMatch{Port: to},
			Protocol: port.Protocol,
		}
		for _, a := range pod.addrs {
			if ap := netip.AddrPortFrom(a, to); !claimed[ap] {
				claimed[ap] = true
				chain.Match.Addresses = append(chain.Match.Addresses, a.String())
			}
		}
		targets := []ir.Target{{Cluster: b.podCluster(svc.ID, port, pod), Weight: 100}}
		if port.Protocol.IsHTTP() {
			chain.RouteConfig = names.OutboundRoutes(to)
			b.addVirtualHost(chain.RouteConfig, false, ir.VirtualHost{
				Name:   names.OutboundVirtualHost(pod.id.FQDN()),
				About:  ir.About{Service: pod.id},
				Hosts:  names.ServiceHosts(pod.id, to, svc.ID.Namespace == b.key.Identity.Namespace),
				Routes: b.clientRoutes(svc, port, []ir.Route{{Targets: targets, Retry: b.retry(svc.ID)}}),
			})
		} else {
			chain.TCP, chain.Idle = targets, b.bytesIdle(svc.ID)
		}
		if len(chain.Match.Addresses) > 0 {
			chains = append(chains, b.detected(port, chain, pod.id, b.takesBytes(pod.identities, port.TargetPort), func() []ir.Target {
				return []ir.Target{{Cluster: b.rawCluster(pod.id, port, b.principals(pod.identities)), Weight: 100}}
			})...)
		}
	}
	return chains
}

// namedPod is a pod with a name of its own and its addresses on one port.
type namedPod struct {
	id         meshid.Service
	addrs      []netip.Addr
	identities []meshid.Identity
}

// namedPods lists the named pods behind a port, sorted by name. A TCP port that is split has none: its bytes tell no
// name, so all of it follows the split.
func (b *builder) namedPods(svc *snapshot.Service, port snapshot.ServicePort) []namedPod {
	if !svc.Headless || !port.Protocol.IsHTTP() && len(b.split(svc, port)) > 0 {
		return nil
	}
	byName := map[string]*namedPod{}
	for _, ep := range b.planner.snap.Endpoints[meshid.ServicePort{Service: svc.ID, Port: port.Port}] {
		if ep.Hostname == "" || !b.owns(svc, ep) || !b.planner.answers(svc, ep, port) {
			continue
		}
		p := byName[ep.Hostname]
		if p == nil {
			p = &namedPod{id: names.PodService(svc.ID, ep.Hostname)}
			byName[ep.Hostname] = p
		}
		p.addrs = append(p.addrs, ep.Addr.Addr())
		p.identities = append(p.identities, b.planner.snap.Pod(ep.Pod).Identity)
	}
	var out []namedPod
	for _, p := range byName {
		slices.SortFunc(p.addrs, netip.Addr.Compare)
		p.addrs = slices.Compact(p.addrs)
		out = append(out, *p)
	}
	slices.SortFunc(out, func(x, y namedPod) int { return cmp.Compare(x.id.Name, y.id.Name) })
	return out
}

// podCluster adds the cluster and the trust of one named pod: it is known by its own account alone, whoever else backs
// the service. What is said about the service is said about each of its pods.
func (b *builder) podCluster(svc meshid.Service, port snapshot.ServicePort, pod namedPod) string {
	return b.addMeshCluster(pod.id, port, b.principals(pod.identities), b.clientLimits(svc))
}

// serverNames are the TLS names that sidecars of a service answer to. Pods of a headless service are called by names of
// their own too; the wildcard stands for all of them, so that the sidecars of a set do not change when it grows.
func serverNames(svc *snapshot.Service) []string {
	if namesPods(svc) {
		return []string{"*." + svc.ID.FQDN(), svc.ID.FQDN()}
	}
	return []string{svc.ID.FQDN()}
}

// withPods adds the host names of a headless service's pods to the service's.
func withPods(svc *snapshot.Service, hosts []string) []string {
	if !namesPods(svc) {
		return hosts
	}
	out := slices.Clone(hosts)
	for _, h := range hosts {
		out = append(out, "*."+h)
	}
	return out
}

// namesPods reports whether pods of the service may have names of their own: of any headless one, also where an
// EndpointSlice written by hand gives the names.
func namesPods(svc *snapshot.Service) bool { return svc.Headless }
