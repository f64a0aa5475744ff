package plan

import (
	"fmt"
	"slices"
	"time"

	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/policy/trafficsplit"
	"openservicemesh.io/osm/internal/core/policy/upstreamtrafficsetting"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// standardIdle is how long Envoy lets a request be without a byte when nothing else is said.
const standardIdle = 5 * time.Minute

// standardBytesIdle is how long Envoy lets a connection of bytes be without one.
const standardBytesIdle = time.Hour

// compileMirrors notes which services get copies of whose requests, and reports settings whose copies go nowhere.
func (p *Planner) compileMirrors() {
	p.mirrored = map[meshid.Service][]meshid.Service{}
	for _, svc := range p.snap.Services {
		s := p.settings.Of(svc.ID)
		if s == nil || s.Mirror == nil {
			continue
		}
		report := func(reason, format string, args ...any) {
			p.findings = append(p.findings, snapshot.Finding{
				Object: s.Object, Severity: snapshot.Warning, Reason: reason, Message: "spec.mirror.service: " + fmt.Sprintf(format, args...)})
		}
		if p.snap.Service(s.Mirror.Service) == nil {
			report("MirrorNotFound", "Service %s does not exist; nothing is copied until it does", s.Mirror.Service)
			continue
		}
		copied := false
		for _, port := range p.ports[svc.ID] {
			_, ok := p.mirrorPort(s, port)
			copied = copied || ok
		}
		if !copied {
			report("MirrorPortNotFound", "Service %s has no port for requests with a number that a port for requests of %s has; nothing is copied", s.Mirror.Service, svc.ID)
			continue
		}
		p.mirrored[s.Mirror.Service] = append(p.mirrored[s.Mirror.Service], svc.ID)
	}
}

// mirrorPort is the port of the mirror that gets copies of a port's requests. Bytes are not copied.
func (p *Planner) mirrorPort(s *upstreamtrafficsetting.Setting, port snapshot.ServicePort) (snapshot.ServicePort, bool) {
	if !port.Protocol.IsHTTP() {
		return snapshot.ServicePort{}, false
	}
	return trafficsplit.BackendPort(p.ports[s.Mirror.Service], port)
}

// clientRoutes puts the timeouts and the mirror of a service on routes of its clients, and adds a route for each path that
// has a timeout of its own.
func (b *builder) clientRoutes(svc *snapshot.Service, port snapshot.ServicePort, routes []ir.Route) []ir.Route {
	s := b.planner.settings.Of(svc.ID)
	if s == nil {
		return routes
	}
	var mirror *ir.Mirror
	if s.Mirror != nil && s.Mirror.Percent > 0 && b.planner.snap.Service(s.Mirror.Service) != nil {
		if to, ok := b.planner.mirrorPort(s, port); ok {
			mirror = &ir.Mirror{Cluster: b.meshCluster(b.planner.snap.Service(s.Mirror.Service), to), Percent: s.Mirror.Percent}
		}
	}
	var out []ir.Route
	for _, r := range routes {
		r.Mirror = mirror
		timed(&r, s.Limits)
		if r.Match.Path == "" {
			for _, path := range timedPaths(s) {
				own := r
				own.Match.Path = path
				override(&own, s.Routes[path])
				out = append(out, own)
			}
		}
		if own, ok := s.Routes[r.Match.Path]; ok {
			override(&r, own)
		}
		out = append(out, r)
	}
	return out
}

// timedPaths lists the paths that have timeouts of their own, the longest first.
func timedPaths(s *upstreamtrafficsetting.Setting) []string {
	var out []ir.RouteMatch
	for path, r := range s.Routes {
		if path != "" && (r.Timeout != nil || r.Idle != nil) {
			out = append(out, ir.RouteMatch{Path: path})
		}
	}
	slices.SortFunc(out, ir.CompareRouteMatch)
	paths := make([]string, 0, len(out))
	for _, m := range out {
		paths = append(paths, m.Path)
	}
	return paths
}

func timed(r *ir.Route, l *ir.Limits) {
	if l != nil {
		r.Timeout, r.Idle = l.RequestTimeout, l.IdleTimeout
	}
}

func override(r *ir.Route, own upstreamtrafficsetting.Route) {
	if own.Timeout != nil {
		r.Timeout = *own.Timeout
	}
	if own.Idle != nil {
		r.Idle = *own.Idle
	}
}

// bytesIdle is how long a connection of bytes to a service may be without a byte; 0 is Envoy's own.
func (b *builder) bytesIdle(id meshid.Service) ir.Duration { return connectionIdle(b.clientLimits(id)) }

func connectionIdle(l *ir.Limits) ir.Duration {
	if l == nil {
		return 0
	}
	return l.ConnectionIdle
}

// serverIdle is bytesIdle for the service's own proxies: they say something when callers may wait longer than Envoy lets
// them.
func (b *builder) serverIdle(id meshid.Service) ir.Duration {
	if d := b.bytesIdle(id); time.Duration(d) > standardBytesIdle {
		return d
	}
	return 0
}

// serverRoute puts what a setting says of a path on an inbound route. A caller that may wait longer than Envoy lets it does
// not help alone: the service's own proxy must let it too.
func serverRoute(r *ir.Route, s *upstreamtrafficsetting.Setting) {
	own := s.Routes[r.Match.Path]
	r.Fault = own.Fault
	var waits ir.Route
	timed(&waits, s.Limits)
	override(&waits, own)
	if time.Duration(waits.Idle) > standardIdle {
		r.Idle = waits.Idle
	}
}

// trace has every HTTP chain send spans, if the mesh collects them.
func (b *builder) trace(listeners ...*ir.Listener) {
	t := b.planner.snap.Mesh.Tracing
	if t == nil {
		return
	}
	traced := false
	for _, l := range listeners {
		if l == nil {
			continue
		}
		for i := range l.Chains {
			if l.Chains[i].Protocol.IsHTTP() {
				traced = true
				l.Chains[i].Tracing = &ir.Tracing{Cluster: names.ClusterTracing, Host: t.Address, Path: t.Path}
			}
		}
	}
	if traced {
		b.addCluster(ir.Cluster{Name: names.ClusterTracing, About: ir.About{Mesh: true}, Kind: ir.DNS, Protocol: meshid.HTTP, Host: t.Address, Port: t.Port})
	}
}
