package pipeline

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/snapshot"
)

type endpointSet struct {
	addrs    []envoy.Address
	resource *envoy.Resource
}

// assigner encodes the addresses of services, taking over what the last view has.
type assigner struct {
	snap *snapshot.Snapshot
	// owners is whether addresses say whose they are.
	owners bool
	last   *View // nil at first
	out    map[string]*endpointSet
}

// allEndpoints encodes the addresses of every service port.
func allEndpoints(v, last *View) (map[string]*endpointSet, error) {
	a := &assigner{snap: v.snap, owners: v.planner.Counts(), last: last, out: make(map[string]*endpointSet, len(v.snap.Services))}
	for _, svc := range v.snap.Services {
		if err := a.service(svc); err != nil {
			return nil, err
		}
	}
	return a.out, nil
}

// changedEndpoints copies the last view's endpoints and encodes those of the services that changed.
func changedEndpoints(v, last *View, ports []meshid.ServicePort) (map[string]*endpointSet, error) {
	a := &assigner{snap: v.snap, owners: v.planner.Counts(), last: last, out: maps.Clone(last.endpoints)}
	done := map[meshid.Service]bool{}
	for _, p := range ports {
		svc := v.snap.Service(p.Service)
		if svc == nil || done[svc.ID] {
			continue
		}
		done[svc.ID] = true
		if err := a.service(svc); err != nil {
			return nil, err
		}
	}
	return a.out, nil
}

// service encodes the clusters of one service, and of its pods that have names of their own. Ports with one target port
// share a cluster and its addresses.
func (a *assigner) service(svc *snapshot.Service) error {
	byCluster := map[string][]envoy.Address{}
	add := func(id meshid.Service, port snapshot.ServicePort, addrs ...envoy.Address) {
		for _, name := range clustersOf(id, port) {
			byCluster[name] = append(byCluster[name], addrs...)
		}
	}
	for _, port := range svc.Ports {
		add(svc.ID, port) // a port without addresses is answered too
		for _, ep := range a.snap.Endpoints[meshid.ServicePort{Service: svc.ID, Port: port.Port}] {
			addr := envoy.Address{AddrPort: ep.Addr, Owner: a.owner(svc, ep)}
			number := ep.Addr.Port()
			further := svc.Headless && slices.Contains(port.OtherTargets, number)
			if further {
				add(svc.ID, port.At(number), addr)
			} else {
				add(svc.ID, port, addr)
			}
			if svc.Headless && ep.Hostname != "" {
				pod := names.PodService(svc.ID, ep.Hostname)
				add(pod, port, addr)
				if further {
					add(pod, port.At(number), addr)
				}
			}
		}
	}
	return a.encode(byCluster)
}

// owner is whose an address is, where anybody counts by it. A slice may name any pod, so the pod counts only if it is of
// the service's namespace and has the address: nobody's calls are counted as another's.
func (a *assigner) owner(svc *snapshot.Service, ep snapshot.Endpoint) envoy.Owner {
	if !a.owners {
		return envoy.Owner{}
	}
	pod := a.snap.Pod(ep.Pod)
	if pod == nil || pod.ID.Namespace != svc.ID.Namespace || !slices.Contains(pod.IPs, ep.Addr.Addr()) {
		return envoy.Owner{}
	}
	return envoy.Owner{Namespace: pod.ID.Namespace, Pod: pod.ID.Name, Workload: pod.Workload}
}

// clustersOf lists the clusters with a port's addresses: one that declares nothing has a twin for bytes.
func clustersOf(id meshid.Service, port snapshot.ServicePort) []string {
	if port.Undeclared {
		return []string{names.UpstreamCluster(id, port.TargetPort), names.UpstreamClusterBytes(id, port.TargetPort)}
	}
	return []string{names.UpstreamCluster(id, port.TargetPort)}
}

func (a *assigner) encode(byCluster map[string][]envoy.Address) error {
	for name, addrs := range byCluster {
		addrs = distinct(addrs)
		if a.last != nil {
			if e := a.last.endpoints[name]; e != nil && slices.Equal(e.addrs, addrs) {
				a.out[name] = e
				continue
			}
		}
		res, err := envoy.LoadAssignment(name, addrs)
		if err != nil {
			return err
		}
		a.out[name] = &endpointSet{addrs: addrs, resource: res}
	}
	return nil
}

// distinct sorts addresses and keeps each once, with its owner if any of its entries tells.
func distinct(addrs []envoy.Address) []envoy.Address {
	slices.SortFunc(addrs, func(a, b envoy.Address) int {
		return cmp.Or(a.AddrPort.Compare(b.AddrPort), strings.Compare(b.Owner.Pod, a.Owner.Pod))
	})
	return slices.CompactFunc(addrs, func(a, b envoy.Address) bool { return a.AddrPort == b.AddrPort })
}
