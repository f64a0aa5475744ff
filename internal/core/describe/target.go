package describe

import (
	"fmt"
	"slices"

	access "openservicemesh.io/osm/api/smi/access/v1alpha3"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/plan"
	"openservicemesh.io/osm/internal/core/policy/traffictarget"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// Target is one TrafficTarget and what comes of it.
type Target struct {
	// Name is "<namespace>/<name>".
	Name string `json:"name"`
	// Enforced is false in permissive mode, where everybody may call everybody and no TrafficTarget is read.
	Enforced bool `json:"enforced"`
	// Destination is whose pods it opens, Sources who may call them.
	Destination Party   `json:"destination"`
	Sources     []Party `json:"sources"`
	// Rules are "<kind> <name>", with the matches where it names some.
	Rules []string `json:"rules,omitempty"`
	// Opens are the ports that it opens; their callers are those of this TrafficTarget alone.
	Opens []Port `json:"opens,omitempty"`
}

// Party is a service account and its pods.
type Party struct {
	// Identity is "<service account>.<namespace>", Certificate the name in its pods' certificates.
	Identity    string `json:"identity"`
	Certificate string `json:"certificate"`
	// Pods are "<namespace>/<name>" of those with a sidecar, WithoutSidecar of the others: for these nothing is in force.
	Pods           []string `json:"pods,omitempty"`
	WithoutSidecar []string `json:"withoutSidecar,omitempty"`
}

// OfTarget describes a TrafficTarget: what it says, and what its destination's proxies are told because of it.
func OfTarget(p *plan.Planner, t *access.TrafficTarget) Target {
	to := t.Spec.Destination
	destination := meshid.Identity{Namespace: to.Namespace, ServiceAccount: to.Name}
	out := Target{
		Name:        t.Namespace + "/" + t.Name,
		Enforced:    !p.Snapshot().Mesh.Permissive,
		Destination: party(p, destination),
	}
	for _, s := range t.Spec.Sources {
		out.Sources = append(out.Sources, party(p, meshid.Identity{Namespace: s.Namespace, ServiceAccount: s.Name}))
	}
	for _, r := range t.Spec.Rules {
		rule := r.Kind + " " + r.Name
		if len(r.Matches) > 0 {
			rule += fmt.Sprintf(" %v", r.Matches)
		}
		out.Rules = append(out.Rules, rule)
	}
	out.Opens = opened(p, destination, out.Name)
	return out
}

// TargetNamed finds a TrafficTarget of the snapshot, nil when there is none.
func TargetNamed(s *snapshot.Snapshot, namespace, name string) *access.TrafficTarget {
	for _, t := range snapshot.List[*access.TrafficTarget](s.Policies, traffictarget.Kind) {
		if t.Namespace == namespace && t.Name == name {
			return t
		}
	}
	return nil
}

func party(p *plan.Planner, id meshid.Identity) Party {
	out := Party{Identity: id.String(), Certificate: id.Principal(p.Snapshot().Mesh.TrustDomain)}
	for _, pod := range p.Snapshot().Pods {
		switch {
		case pod.Identity != id:
		case pod.ProxyUUID == "":
			out.WithoutSidecar = append(out.WithoutSidecar, pod.ID.String())
		default:
			out.Pods = append(out.Pods, pod.ID.String())
		}
	}
	return out
}

// opened are the ports of an identity's pods on which a TrafficTarget lets somebody in. Pods of one key answer alike.
func opened(p *plan.Planner, id meshid.Identity, target string) []Port {
	var out []Port
	seen := map[string]bool{}
	for _, pod := range p.Snapshot().Pods {
		if pod.Identity != id || pod.ProxyUUID == "" {
			continue
		}
		proxy := p.Plan(p.KeyOf(pod))
		for _, port := range answers(&proxy) {
			port.Callers = slices.DeleteFunc(port.Callers, func(c Caller) bool { return c.Policy != target })
			key := fmt.Sprint(port.Service, port.Number, port.Protocol)
			if len(port.Callers) > 0 && !seen[key] {
				seen[key] = true
				out = append(out, port)
			}
		}
	}
	return out
}
