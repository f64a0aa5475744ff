package state

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/snapshot"
	"openservicemesh.io/osm/internal/kube/convert"
)

// endpointsWriter changes a map that snapshots already share, by copying it at the first change.
type endpointsWriter struct {
	old, fresh snapshot.Endpoints
	changed    []meshid.ServicePort
}

// set stores the addresses of one port and reports whether they differ. A port without addresses has no entry.
func (w *endpointsWriter) set(k meshid.ServicePort, list []snapshot.Endpoint) bool {
	if slices.Equal(w.old[k], list) {
		return false
	}
	if w.fresh == nil {
		w.fresh = maps.Clone(w.old)
	}
	if len(list) == 0 {
		delete(w.fresh, k)
	} else {
		w.fresh[k] = list
	}
	w.changed = append(w.changed, k)
	return true
}

// dropPorts removes the entries of ports that a Service no longer has.
func (w *endpointsWriter) dropPorts(before, after *snapshot.Service) {
	for _, p := range before.Ports {
		if !slices.ContainsFunc(after.Ports, func(q snapshot.ServicePort) bool { return q.Port == p.Port }) {
			w.set(meshid.ServicePort{Service: before.ID, Port: p.Port}, nil)
		}
	}
}

func appendEndpoints(out []snapshot.Endpoint, ready []convert.Address, port uint16) []snapshot.Endpoint {
	for _, a := range ready {
		out = append(out, snapshot.Endpoint{Addr: netip.AddrPortFrom(a.Addr, port), Pod: a.Pod, Hostname: a.Hostname})
	}
	return out
}

// compareEndpoints orders by address and puts the entry that names its pod before one that does not.
func compareEndpoints(a, b snapshot.Endpoint) int {
	return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(b.Pod.Name, a.Pod.Name), cmp.Compare(b.Pod.UID, a.Pod.UID),
		cmp.Compare(b.Hostname, a.Hostname))
}
