package upstreamtrafficsetting

import (
	"fmt"
	"math"
	"strings"
	"time"

	policyv1 "openservicemesh.io/osm/api/policy/v1alpha1"
	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// Setting is one compiled object.
type Setting struct {
	// Object is whose it is.
	Object snapshot.ObjectRef
	// Limits are for the host's clients; nil when there are none. The rest is for the host's own proxies.
	Limits          *ir.Limits
	ConnectionRate  *ir.Rate
	ConnectionQuota *ir.ConnectionQuota
	RequestRate     *ir.RequestRate
	RequestQuota    *ir.RequestQuota
	Descriptors     []ir.Descriptor
	Fault           *ir.Fault
	// Mirror is for the host's clients.
	Mirror *Mirror
	// Routes are settings of single routes, by ir.RouteMatch.Path.
	Routes map[string]Route
	// Services are the rate limit services the quotas name, as clusters.
	Services []ir.Cluster
}

// Route is what is set for one path.
type Route struct {
	RequestRate *ir.RequestRate
	Descriptors []ir.Descriptor
	// Timeout and Idle are for the host's clients; nil is what the host has.
	Timeout, Idle *ir.Duration
	Fault         *ir.Fault
}

// Faulty reports whether any request is held up or answered on purpose.
func (s *Setting) Faulty() bool {
	for _, r := range s.Routes {
		if r.Fault != nil {
			return true
		}
	}
	return s.Fault != nil
}

// Limited reports whether any request is limited locally.
func (s *Setting) Limited() bool { return s.RequestRate != nil || s.LimitedRoutes() > 0 }

// LimitedRoutes counts the paths with a limit of their own.
func (s *Setting) LimitedRoutes() int {
	n := 0
	for _, r := range s.Routes {
		if r.RequestRate != nil {
			n++
		}
	}
	return n
}

// Key names an object.
type Key struct{ Namespace, Name string }

// Settings are the compiled objects.
type Settings struct {
	byService map[meshid.Service]*Setting
	byName    map[Key]*Setting
}

// Of returns the setting of a service of the mesh, or nil.
func (s Settings) Of(id meshid.Service) *Setting { return s.byService[id] }

// Named returns the setting of an object, or nil: it does not exist or is not in force.
func (s Settings) Named(k Key) *Setting { return s.byName[k] }

// Compile compiles every object, in order. exists tells whether the mesh has a service. An object with a mistake is not in
// force as a whole, and reported.
func Compile(objects []*policyv1.UpstreamTrafficSetting, exists func(meshid.Service) bool) (Settings, []snapshot.Finding) {
	out := Settings{byService: map[meshid.Service]*Setting{}, byName: map[Key]*Setting{}}
	var findings []snapshot.Finding
	report := func(o *policyv1.UpstreamTrafficSetting, s snapshot.Severity, reason, message string) {
		findings = append(findings, snapshot.Finding{
			Object:   snapshot.ObjectRef{Kind: Kind, Namespace: o.Namespace, Name: o.Name},
			Severity: s, Reason: reason, Message: message})
	}
	taken := map[Key]string{} // namespace and host → the first object
	for _, o := range objects {
		setting, err := compile(o)
		if err != nil {
			report(o, snapshot.Error, "Invalid", err.Error())
			continue
		}
		host := Key{o.Namespace, strings.ToLower(o.Spec.Host)}
		if first, ok := taken[host]; ok {
			report(o, snapshot.Error, "Conflict", conflict(o, first).Error())
			continue
		}
		taken[host] = o.Name
		if err := namespace(o, exists); err != nil {
			report(o, snapshot.Error, "WrongNamespace", err.Error())
			continue
		}
		out.byName[Key{o.Namespace, o.Name}] = setting
		for _, w := range Warnings(o) {
			report(o, snapshot.Warning, "NoEffect", w)
		}
		id, cluster := service(o.Spec.Host)
		if !cluster || id.Namespace != o.Namespace {
			continue
		}
		out.byService[id] = setting
		if !exists(id) {
			report(o, snapshot.Warning, "ServiceNotFound", fmt.Sprintf("spec.host: the mesh has no service %s; the setting waits for it", id))
		}
	}
	return out, findings
}

// service returns the service of the cluster that a host names.
func service(host string) (meshid.Service, bool) {
	host = strings.ToLower(host)
	name, rest, _ := strings.Cut(host, ".")
	ns, _, _ := strings.Cut(rest, ".")
	id := meshid.Service{Namespace: ns, Name: name}
	return id, id.FQDN() == host
}

func compile(o *policyv1.UpstreamTrafficSetting) (*Setting, error) {
	if err := host(o); err != nil {
		return nil, err
	}
	if err := codes(o); err != nil {
		return nil, err
	}
	s := &Setting{
		Object: snapshot.ObjectRef{Kind: Kind, Namespace: o.Namespace, Name: o.Name},
		Routes: map[string]Route{},
	}
	var err error
	if s.Limits, err = Limits(o); err != nil {
		return nil, err
	}
	if s.Mirror, err = mirror(o); err != nil {
		return nil, err
	}
	if s.Fault, err = fault("spec.faultInjection", o.Spec.FaultInjection); err != nil {
		return nil, err
	}
	if r := o.Spec.RateLimit; r != nil {
		if err := s.local(r.Local); err != nil {
			return nil, err
		}
		if err := s.global(r.Global); err != nil {
			return nil, err
		}
	}
	for i, r := range o.Spec.HTTPRoutes {
		if err := s.route(fmt.Sprintf("spec.httpRoutes[%d]", i), r); err != nil {
			return nil, err
		}
	}
	return s, inMesh(o)
}

// maxDuration bounds what is written to the proxy: it refuses whole configurations over a duration it cannot hold.
const maxDuration = 24 * time.Hour

func duration(field string, d policyv1.Duration) (ir.Duration, error) {
	v, err := d.Parse()
	if err == nil && v > maxDuration {
		err = fmt.Errorf("%q is too long; use at most %s", string(d), maxDuration)
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", field, err)
	}
	return ir.Duration(v), nil
}

// periods are the lengths of the units.
var periods = map[policyv1.RateLimitUnit]time.Duration{
	policyv1.RateLimitUnitSecond: time.Second, policyv1.RateLimitUnitMinute: time.Minute, policyv1.RateLimitUnitHour: time.Hour,
}

// rate makes a bucket that lets count pass per unit, and burst more at once.
func rate(field, what string, count int64, unit policyv1.RateLimitUnit, burst int64) (ir.Rate, error) {
	period, ok := periods[unit]
	switch {
	case !ok:
		return ir.Rate{}, fmt.Errorf("%s.unit: %q is not a unit; use second, minute or hour", field, unit)
	case count < 1 || count > math.MaxUint32:
		return ir.Rate{}, fmt.Errorf("%s.%s: %d is out of range; use 1 to %d", field, what, count, uint32(math.MaxUint32))
	case burst < 0 || burst > math.MaxUint32:
		return ir.Rate{}, fmt.Errorf("%s.burst: %d is out of range; use 0 to %d", field, burst, uint32(math.MaxUint32))
	}
	return ir.Rate{Tokens: uint32(min(count+burst, math.MaxUint32)), Refill: uint32(count), Period: ir.Duration(period)}, nil
}

func (s *Setting) local(l *policyv1.LocalRateLimitSpec) error {
	if l == nil {
		return nil
	}
	if t := l.TCP; t != nil {
		r, err := rate("spec.rateLimit.local.tcp", "connections", t.Connections, t.Unit, t.Burst)
		if err != nil {
			return err
		}
		s.ConnectionRate = &r
	}
	var err error
	s.RequestRate, err = requestRate("spec.rateLimit.local.http", l.HTTP)
	return err
}

func requestRate(field string, h *policyv1.HTTPLocalRateLimitSpec) (*ir.RequestRate, error) {
	if h == nil {
		return nil, nil
	}
	r, err := rate(field, "requests", h.Requests, h.Unit, h.Burst)
	if err != nil {
		return nil, err
	}
	out := &ir.RequestRate{Rate: r, Status: uint32(h.ResponseStatusCode)}
	if len(h.ResponseHeadersToAdd) > maxResponseHeaders {
		return nil, fmt.Errorf("%s.responseHeadersToAdd: %d headers are too many; use at most %d", field, len(h.ResponseHeadersToAdd), maxResponseHeaders)
	}
	for i, header := range h.ResponseHeadersToAdd {
		if err := validHeader(header.Name, header.Value); err != nil {
			return nil, fmt.Errorf("%s.responseHeadersToAdd[%d]: %w", field, i, err)
		}
		out.Headers = append(out.Headers, ir.Header{Name: strings.ToLower(header.Name), Value: header.Value})
	}
	return out, nil
}

func (s *Setting) route(field string, r policyv1.HTTPRouteSpec) error {
	if r.Path == "" {
		return fmt.Errorf("%s.path: is empty; write the path of a route, letter for letter, or .* in permissive mode", field)
	}
	path := r.Path
	if path == ".*" {
		path = "" // what a route that takes every path has in its place
	}
	if _, twice := s.Routes[path]; twice {
		return fmt.Errorf("%s.path: %q is there twice; say once what is set for it", field, r.Path)
	}
	var out Route
	if r.RateLimit != nil {
		var err error
		if out.RequestRate, err = requestRate(field+".rateLimit.local", r.RateLimit.Local); err != nil {
			return err
		}
		if g := r.RateLimit.Global; g != nil {
			if s.RequestQuota == nil {
				return fmt.Errorf("%s.rateLimit.global: there is no service to ask; set spec.rateLimit.global.http too", field)
			}
			if out.Descriptors, err = descriptors(field+".rateLimit.global", g.Descriptors); err != nil {
				return err
			}
		}
	}
	if err := out.resilience(field, r); err != nil {
		return err
	}
	s.Routes[path] = out
	return nil
}

// quota reads what TCP and HTTP limits have in common, and notes the service's cluster.
func (s *Setting) quota(field string, svc *policyv1.RateLimitServiceSpec, domain string, timeout policyv1.Duration, failOpen *bool) (ir.Quota, error) {
	if svc == nil {
		return ir.Quota{}, fmt.Errorf("%s.rateLimitService: is missing; name the service's host and port", field)
	}
	if err := validHost(svc.Host); err != nil {
		return ir.Quota{}, fmt.Errorf("%s.rateLimitService.host: %w", field, err)
	}
	if svc.Port < 1 || svc.Port > math.MaxUint16 {
		return ir.Quota{}, fmt.Errorf("%s.rateLimitService.port: %d is not a port; use 1 to 65535", field, svc.Port)
	}
	if domain == "" {
		return ir.Quota{}, fmt.Errorf("%s.domain: is empty; name the set of limits in the service", field)
	}
	d, err := duration(field+".timeout", timeout)
	if err != nil {
		return ir.Quota{}, err
	}
	c := ir.Cluster{Name: names.RateLimitCluster(svc.Host, uint16(svc.Port)), Kind: ir.DNS, Protocol: meshid.GRPC, Host: svc.Host, Port: uint16(svc.Port)}
	s.Services = append(s.Services, c)
	return ir.Quota{Cluster: c.Name, Domain: domain, Timeout: d, FailClosed: failOpen != nil && !*failOpen}, nil
}
