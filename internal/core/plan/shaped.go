package plan

import (
	"slices"
	"strings"

	policyv1 "openservicemesh.io/osm/api/policy/v1alpha1"
	access "openservicemesh.io/osm/api/smi/access/v1alpha3"
	split "openservicemesh.io/osm/api/smi/split/v1alpha2"
	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/policy/egress"
	"openservicemesh.io/osm/internal/core/policy/ingressbackend"
	"openservicemesh.io/osm/internal/core/policy/retry"
	"openservicemesh.io/osm/internal/core/policy/routegroup"
	"openservicemesh.io/osm/internal/core/policy/tcproute"
	"openservicemesh.io/osm/internal/core/policy/trafficsplit"
	"openservicemesh.io/osm/internal/core/policy/traffictarget"
	"openservicemesh.io/osm/internal/core/policy/upstreamtrafficsetting"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// Resource is a kind of resource that a plan becomes.
type Resource string

// The kinds of resources.
const (
	ResourceListener    Resource = "listener"
	ResourceRouteConfig Resource = "route config"
	ResourceCluster     Resource = "cluster"
	ResourceTrust       Resource = "validation context"
)

// Shaped lists the objects that shaped one resource of a proxy, sorted: policies, services and, as an ObjectRef without a
// name, the MeshConfig. words are what the proxy says of the resource; where they name a part of it, only what shaped that
// part counts.
func (p *Planner) Shaped(k Key, kind Resource, name, words string) []snapshot.ObjectRef {
	pieces := piecesOf(p.Plan(k), kind, name)
	named := slices.DeleteFunc(slices.Clone(pieces), func(x piece) bool { return !strings.Contains(words, x.name) })
	if len(named) > 0 {
		pieces = named
	}
	a := authors{planner: p, identity: k.Identity, found: map[snapshot.ObjectRef]bool{}}
	for _, x := range pieces {
		a.of(x)
	}
	out := make([]snapshot.ObjectRef, 0, len(a.found))
	for ref := range a.found {
		out = append(out, ref)
	}
	slices.SortFunc(out, func(x, y snapshot.ObjectRef) int { return strings.Compare(x.String(), y.String()) })
	return out
}

// role is on which side of a call a piece of configuration stands.
type role int

const (
	calling role = iota
	answering
	answeringOutside
	callingOutside
	reaching // clusters and their trust: how, not what
)

type piece struct {
	name  string
	about ir.About
	role  role
}

// piecesOf takes a resource apart.
func piecesOf(proxy ir.Proxy, kind Resource, name string) []piece {
	var out []piece
	switch kind {
	case ResourceListener:
		for _, l := range []struct {
			*ir.Listener
			inbound bool
		}{{proxy.Outbound, false}, {proxy.Inbound, true}} {
			if l.Listener == nil || l.inbound != (name == names.ListenerInbound) {
				continue
			}
			for _, c := range l.Chains {
				out = append(out, piece{c.Name, c.About, roleOf(c.Side, l.inbound)})
			}
		}
	case ResourceRouteConfig:
		for _, rc := range proxy.RouteConfigs {
			if rc.Name != name {
				continue
			}
			for _, v := range rc.VirtualHosts {
				out = append(out, piece{v.Name, v.About, roleOfRoutes(rc)})
			}
		}
	case ResourceCluster:
		for _, c := range proxy.Clusters {
			if c.Name == name {
				out = append(out, piece{c.Name, c.About, reaching})
			}
		}
	case ResourceTrust:
		for _, t := range proxy.Trusts {
			if t.Secret != name {
				continue
			}
			as := reaching
			if strings.HasPrefix(name, names.SecretRootInbound(proxy.Identity)) {
				as = answering // it says who may connect
			}
			out = append(out, piece{t.Secret, t.About, as})
		}
	}
	return out
}

func roleOf(side ir.Side, inbound bool) role {
	switch {
	case side == ir.Egress:
		return callingOutside
	case side == ir.Ingress:
		return answeringOutside
	case inbound:
		return answering
	}
	return calling
}

func roleOfRoutes(rc ir.RouteConfig) role {
	switch {
	case rc.External:
		return callingOutside
	case rc.Inbound && strings.HasPrefix(rc.Name, names.RouteConfigIngress):
		return answeringOutside
	case rc.Inbound:
		return answering
	}
	return calling
}

// authors collects the objects behind pieces of one proxy's configuration.
type authors struct {
	planner  *Planner
	identity meshid.Identity
	found    map[snapshot.ObjectRef]bool
}

func (a *authors) add(kind, namespace, name string) {
	a.found[snapshot.ObjectRef{Kind: kind, Namespace: namespace, Name: name}] = true
}

func (a *authors) of(x piece) {
	if x.about.Mesh || x.role != reaching {
		a.add(snapshot.KindMeshConfig, a.planner.snap.Mesh.Namespace, "")
	}
	if x.about.Port != 0 {
		a.egress(x.about.Port)
	}
	if x.about.Service == (meshid.Service{}) {
		return
	}
	svc := a.planner.serviceOf(x.about.Service)
	a.add(snapshot.KindService, svc.Namespace, svc.Name)
	if s := a.planner.settings.Of(svc); s != nil {
		a.add(upstreamtrafficsetting.Kind, s.Object.Namespace, s.Object.Name)
	}
	switch x.role {
	case calling:
		a.openings(svc)
		a.splits(func(apex meshid.Service, o *split.TrafficSplit) bool { return apex == svc })
		a.retries(svc)
	case answering:
		a.targets()
		a.splits(func(apex meshid.Service, o *split.TrafficSplit) bool {
			return slices.ContainsFunc(a.planner.splits[apex], func(b trafficsplit.Backend) bool { return b.Service == svc })
		})
	case answeringOutside:
		for _, b := range a.planner.ingress[svc] {
			a.add(ingressbackend.Kind, b.Object.Namespace, b.Object.Name)
		}
	}
}

// serviceOf is the Service itself, or that of a pod with a name of its own.
func (p *Planner) serviceOf(id meshid.Service) meshid.Service {
	if p.snap.Service(id) == nil {
		if _, svc, ok := strings.Cut(id.Name, "."); ok {
			id.Name = svc
		}
	}
	return id
}

// openings are the TrafficTargets that let the proxy call a service at all.
func (a *authors) openings(svc meshid.Service) {
	if a.planner.snap.Mesh.Permissive {
		return
	}
	for _, o := range snapshot.List[*access.TrafficTarget](a.planner.snap.Policies, traffictarget.Kind) {
		d := meshid.Identity{Namespace: o.Spec.Destination.Namespace, ServiceAccount: o.Spec.Destination.Name}
		if slices.Contains(a.planner.snap.Backing(svc), d) && slices.ContainsFunc(o.Spec.Sources, func(s access.IdentityBindingSubject) bool {
			return s.Namespace == a.identity.Namespace && s.Name == a.identity.ServiceAccount
		}) {
			a.add(traffictarget.Kind, o.Namespace, o.Name)
		}
	}
}

func (a *authors) targets() {
	for _, o := range snapshot.List[*access.TrafficTarget](a.planner.snap.Policies, traffictarget.Kind) {
		d := o.Spec.Destination
		if d.Namespace != a.identity.Namespace || d.Name != a.identity.ServiceAccount {
			continue
		}
		a.add(traffictarget.Kind, o.Namespace, o.Name)
		for _, r := range o.Spec.Rules {
			switch r.Kind {
			case access.KindHTTPRouteGroup:
				a.add(routegroup.Kind, o.Namespace, r.Name)
			case access.KindTCPRoute:
				a.add(tcproute.Kind, o.Namespace, r.Name)
			}
		}
	}
}

func (a *authors) splits(fits func(apex meshid.Service, o *split.TrafficSplit) bool) {
	for _, o := range snapshot.List[*split.TrafficSplit](a.planner.snap.Policies, trafficsplit.Kind) {
		apex, err := trafficsplit.Root(o)
		if err != nil || !fits(apex, o) {
			continue
		}
		a.add(trafficsplit.Kind, o.Namespace, o.Name)
		for _, m := range o.Spec.Matches {
			a.add(routegroup.Kind, o.Namespace, m.Name)
		}
	}
}

func (a *authors) retries(svc meshid.Service) {
	for _, o := range snapshot.List[*policyv1.Retry](a.planner.snap.Policies, retry.Kind) {
		if o.Spec.Source.Namespace != a.identity.Namespace || o.Spec.Source.Name != a.identity.ServiceAccount {
			continue
		}
		if slices.ContainsFunc(o.Spec.Destinations, func(d policyv1.RetryDestination) bool { return d.Namespace == svc.Namespace && d.Name == svc.Name }) {
			a.add(retry.Kind, o.Namespace, o.Name)
		}
	}
}

func (a *authors) egress(port uint16) {
	for _, o := range snapshot.List[*policyv1.Egress](a.planner.snap.Policies, egress.Kind) {
		mine := slices.ContainsFunc(o.Spec.Sources, func(s policyv1.EgressSource) bool {
			return s.Namespace == a.identity.Namespace && s.Name == a.identity.ServiceAccount
		})
		if !mine || !slices.ContainsFunc(o.Spec.Ports, func(p policyv1.EgressPort) bool { return p.Number == int(port) }) {
			continue
		}
		a.add(egress.Kind, o.Namespace, o.Name)
		for _, m := range o.Spec.Matches {
			a.add(m.Kind, o.Namespace, m.Name)
		}
	}
}
