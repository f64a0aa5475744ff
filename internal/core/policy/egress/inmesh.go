package egress

import (
	"fmt"
	"strings"

	policyv1 "openservicemesh.io/osm/api/policy/v1alpha1"
	"openservicemesh.io/osm/internal/core/meshid"
)

// Warnings says which hosts of an object are services of the mesh, whose callers an Egress has no say in. exists tells
// whether the mesh has a service.
func Warnings(o *policyv1.Egress, exists func(meshid.Service) bool) []string {
	if !readsHosts(o) {
		return nil
	}
	var out []string
	for i, s := range o.Spec.Hosts {
		h, err := parseHost(s)
		if err != nil {
			continue
		}
		for _, id := range servicesNamed(h, o) {
			if exists(id) {
				out = append(out, fmt.Sprintf("spec.hosts[%d]: %q is the service %s of the mesh. TrafficTargets, or permissive mode, decide who may call it, "+
					"and no Egress does: a call they allow takes the way of the mesh, without the routes and settings of this object, and the service's sidecars close any other. "+
					"Remove the host; if the call is to be allowed, write a TrafficTarget", i, s, id))
				break
			}
		}
	}
	return out
}

// readsHosts reports whether a port is of a protocol that tells hosts apart.
func readsHosts(o *policyv1.Egress) bool {
	for _, p := range o.Spec.Ports {
		if inspected(meshid.Protocol(strings.ToLower(p.Protocol))) {
			return true
		}
	}
	return false
}

// servicesNamed lists the services that a host can stand for, in the spellings the cluster's DNS takes: from <service>, for
// the sources of its own namespace, to <pod>.<service>.<namespace>.svc.cluster.local.
func servicesNamed(host string, o *policyv1.Egress) []meshid.Service {
	if strings.ContainsAny(host, "*[") {
		return nil
	}
	short := host
	for _, suffix := range []string{".svc.cluster.local", ".svc.cluster", ".svc"} {
		if s, ok := strings.CutSuffix(host, suffix); ok {
			short = s
			break
		}
	}
	labels := strings.Split(short, ".")
	n := len(labels)
	if n == 1 && short == host {
		var out []meshid.Service
		for _, s := range o.Spec.Sources {
			out = append(out, meshid.Service{Namespace: s.Namespace, Name: host})
		}
		return out
	}
	if n == 2 || n == 3 {
		return []meshid.Service{{Namespace: labels[n-1], Name: labels[n-2]}}
	}
	return nil
}
