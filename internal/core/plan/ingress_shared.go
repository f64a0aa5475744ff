package plan

import (
	"fmt"

	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/policy/ingressbackend"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// sharedPort is a port that two services open to clients outside, on the same pods.
type sharedPort struct {
	first, second meshid.Service
	port          uint16
}

// sharedIngress reports ports of one application that are opened under the names of two services: whoever may call one
// calls the other too, and the authors of the two may not know of each other.
func (p *Planner) sharedIngress() []snapshot.Finding {
	var out []snapshot.Finding
	if len(p.ingress) < 2 {
		return nil
	}
	told := map[sharedPort]bool{}
	for _, pod := range p.snap.Pods {
		services := p.snap.ServicesOf(pod.ID) // in the order in which their chains claim clients
		for i, second := range services {
			for _, b := range p.ingress[second] {
				for _, first := range services[:i] {
					key := sharedPort{first, second, b.Port}
					if a, ok := opens(p.ingress[first], b.Port); ok && !told[key] {
						told[key] = true
						out = append(out, sharedFinding(key, a, b))
					}
				}
			}
		}
	}
	return out
}

func opens(backends []ingressbackend.Backend, port uint16) (ingressbackend.Backend, bool) {
	for _, b := range backends {
		if b.Port == port {
			return b, true
		}
	}
	return ingressbackend.Backend{}, false
}

func sharedFinding(k sharedPort, first, second ingressbackend.Backend) snapshot.Finding {
	effect := "clients that either admits reach it"
	if first.HTTPS && second.HTTPS {
		effect += "; where both take one server name from one source, the rules of the first one count"
	}
	return snapshot.Finding{
		Object: second.Object, Severity: snapshot.Warning, Reason: "SharedPort",
		Message: fmt.Sprintf("spec.backends: port %d of Service %s is the same port of the same pods as that of Service %s, which IngressBackend %s/%s opens: %s",
			k.port, k.second, k.first, first.Object.Namespace, first.Object.Name, effect)}
}
