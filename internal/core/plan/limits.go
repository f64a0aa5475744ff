package plan

import (
	"slices"

	policyv1 "openservicemesh.io/osm/api/policy/v1alpha1"
	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/policy/retry"
	"openservicemesh.io/osm/internal/core/policy/upstreamtrafficsetting"
	"openservicemesh.io/osm/internal/core/snapshot"
)

func (p *Planner) compileLimits() {
	var f1, f2 []snapshot.Finding
	exists := func(id meshid.Service) bool { return p.snap.Service(id) != nil }
	p.settings, f1 = upstreamtrafficsetting.Compile(
		snapshot.List[*policyv1.UpstreamTrafficSetting](p.snap.Policies, upstreamtrafficsetting.Kind), exists)
	on, said := p.snap.Mesh.FeatureFlags[names.FlagRetryPolicy]
	p.retries, f2 = retry.Compile(snapshot.List[*policyv1.Retry](p.snap.Policies, retry.Kind),
		retry.Options{Off: said && !on, MeshNamespace: p.snap.Mesh.Namespace})
	p.retrying = map[meshid.Identity]bool{}
	for k := range p.retries {
		p.retrying[k.Source] = true
	}
	p.findings = slices.Concat(p.findings, f1, f2)
}

// clientLimits are what the proxy may do to a service at a time; nil when nothing limits it.
func (b *builder) clientLimits(id meshid.Service) *ir.Limits {
	if s := b.planner.settings.Of(id); s != nil {
		return s.Limits
	}
	return nil
}

// retry says when the proxy sends requests to a service again; nil when no policy says.
func (b *builder) retry(id meshid.Service) *ir.Retry {
	return b.planner.retries[retry.Key{Source: b.key.Identity, Destination: id}]
}

// limitChain has an inbound chain of a service limit what it takes.
func (b *builder) limitChain(c *ir.Chain, id meshid.Service) {
	s := b.planner.settings.Of(id)
	if s == nil {
		return
	}
	c.ConnectionRate, c.ConnectionQuota = s.ConnectionRate, s.ConnectionQuota
	if c.Protocol.IsHTTP() {
		c.RequestRates, c.RouteRates, c.RequestQuota, c.Faults = s.Limited(), s.LimitedRoutes(), s.RequestQuota, s.Faulty()
	} else {
		c.Idle = b.serverIdle(id)
	}
	for _, rls := range s.Services {
		if uses(*c, rls.Name) {
			rls.About = ir.About{Service: id}
			b.addCluster(rls)
		}
	}
}

func uses(c ir.Chain, cluster string) bool {
	return c.ConnectionQuota != nil && c.ConnectionQuota.Cluster == cluster || c.RequestQuota != nil && c.RequestQuota.Cluster == cluster
}

// limitHost puts the limits of a service on a virtual host of it, or of an apex that is split over it: whatever name
// callers use, it is this service that takes the requests.
func (b *builder) limitHost(v ir.VirtualHost, id meshid.Service) ir.VirtualHost {
	s := b.planner.settings.Of(id)
	if s == nil {
		return v
	}
	v.RequestRate, v.Descriptors, v.Fault = s.RequestRate, s.Descriptors, s.Fault
	v.Routes = slices.Clone(v.Routes)
	for i, r := range v.Routes {
		if own, ok := s.Routes[r.Match.Path]; ok {
			v.Routes[i].RequestRate, v.Routes[i].Descriptors = own.RequestRate, own.Descriptors
		}
		serverRoute(&v.Routes[i], s)
	}
	return v
}

// authorizeExternally has every HTTP chain of a listener ask the mesh's authorizer, if there is one.
func (b *builder) authorizeExternally(l *ir.Listener) {
	a := b.planner.snap.Mesh.ExternalAuthorization
	if a == nil || l == nil {
		return
	}
	asked := false
	for i := range l.Chains {
		if l.Chains[i].Protocol.IsHTTP() {
			asked = true
			l.Chains[i].ExternalAuthorization = &ir.ExternalAuthorization{
				Cluster: names.ClusterExternalAuthorization, StatPrefix: a.StatPrefix, Timeout: ir.Duration(a.Timeout), FailOpen: a.FailOpen,
			}
		}
	}
	if asked {
		b.addCluster(ir.Cluster{Name: names.ClusterExternalAuthorization, About: ir.About{Mesh: true}, Kind: ir.DNS, Protocol: meshid.GRPC, Host: a.Address, Port: a.Port})
	}
}
