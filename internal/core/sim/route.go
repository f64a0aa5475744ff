package sim

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	httplocalv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/local_ratelimit/v3"
	httprbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/envoy/filters"
)

type route struct {
	host    string
	targets []target
	access  *rules
	// limits are the local rate limits that count for the route, by filter; asks is whether a rate limit service is asked
	// about it.
	limits map[string]*httplocalv3.LocalRateLimit
	asks   bool
	// abort is the code that every request is answered with on purpose; 0 is none.
	abort int
}

// findRoute returns nil when no host or no route matches.
func findRoute(set *envoy.Resources, config string, req Request) (*route, error) {
	r := set.Get(envoy.Route, config)
	if r == nil {
		return nil, fmt.Errorf("route config %s is referred to but not among the resources", config)
	}
	m := &routev3.RouteConfiguration{}
	if err := r.Body().UnmarshalTo(m); err != nil {
		return nil, err
	}
	vh := findHost(m.VirtualHosts, strings.ToLower(req.Host))
	if vh == nil {
		return nil, nil
	}
	for _, rt := range vh.Routes {
		ok, err := routeMatches(rt.Match, req)
		if err != nil {
			return nil, err
		}
		if ok {
			return readRoute(vh, rt)
		}
	}
	return nil, nil
}

// findHost finds the virtual host of a name: by the name itself, else by the longest wildcard it fits.
func findHost(hosts []*routev3.VirtualHost, name string) *routev3.VirtualHost {
	var found *routev3.VirtualHost
	longest := 0
	for _, vh := range hosts {
		for _, d := range vh.Domains {
			if d == name {
				return vh
			}
			if suffix, wild := strings.CutPrefix(d, "*"); wild && len(d) > longest && len(name) > len(suffix) && strings.HasSuffix(name, suffix) {
				found, longest = vh, len(d)
			}
		}
	}
	return found
}

func readRoute(vh *routev3.VirtualHost, rt *routev3.Route) (*route, error) {
	out := &route{host: vh.Name}
	if a := vh.TypedPerFilterConfig[filters.NameHTTPRBAC]; a != nil {
		m := &httprbacv3.RBACPerRoute{}
		if err := a.UnmarshalTo(m); err != nil {
			return nil, err
		}
		out.access = &rules{m.GetRbac().GetRules()}
	}
	var err error
	if out.limits, err = readRates(rt.TypedPerFilterConfig, vh.TypedPerFilterConfig); err != nil {
		return nil, err
	}
	if out.abort, err = readAbort(rt.TypedPerFilterConfig, vh.TypedPerFilterConfig); err != nil {
		return nil, err
	}
	action := rt.GetRoute()
	out.asks = len(action.GetRateLimits()) > 0 || len(vh.RateLimits) > 0
	if name := action.GetCluster(); name != "" {
		out.targets = []target{{name, 1}}
	}
	for _, w := range action.GetWeightedClusters().GetClusters() {
		out.targets = append(out.targets, target{w.Name, w.GetWeight().GetValue()})
	}
	return out, nil
}

func routeMatches(m *routev3.RouteMatch, req Request) (bool, error) {
	path, _, _ := strings.Cut(req.Path, "?")
	switch p := m.PathSpecifier.(type) {
	case *routev3.RouteMatch_Prefix:
		if !strings.HasPrefix(path, p.Prefix) {
			return false, nil
		}
	case *routev3.RouteMatch_SafeRegex:
		if !fullMatch(p.SafeRegex.GetRegex(), path) {
			return false, nil
		}
	default:
		return false, fmt.Errorf("path specifier %T is not known to the simulator", p)
	}
	for _, h := range m.Headers {
		if !headerMatches(h, req) {
			return false, nil
		}
	}
	return true, nil
}

func headerMatches(h *routev3.HeaderMatcher, req Request) bool {
	var value string
	var present bool
	switch h.Name {
	case ":method":
		value, present = req.Method, true
	case ":authority":
		value, present = req.Host, true
	case ":path":
		value, present = req.Path, true
	default:
		value, present = req.Headers[h.Name]
	}
	return present && stringMatches(h.GetStringMatch(), value)
}

func stringMatches(m *matcherv3.StringMatcher, value string) bool {
	if re := m.GetSafeRegex(); re != nil {
		return fullMatch(re.GetRegex(), value)
	}
	return m.GetExact() == value
}

func fullMatch(re, value string) bool {
	r, err := regexp.Compile(`\A(?:` + re + `)\z`)
	return err == nil && r.MatchString(value)
}

// rules is an RBAC filter's ALLOW list.
type rules struct{ rbac *rbacv3.RBAC }

// allowsConnection judges a connection and names the policy that admitted it.
func (r rules) allowsConnection(principal string, port uint16) (bool, string) {
	return r.allows(principal, func(p *rbacv3.Permission) bool {
		return p.GetAny() || p.GetDestinationPort() == uint32(port)
	})
}

// allowsRequest judges a request and names the policy that admitted it.
func (r rules) allowsRequest(principal string, req Request) (bool, string) {
	return r.allows(principal, func(p *rbacv3.Permission) bool { return permits(p, req) })
}

func (r rules) allows(principal string, permits func(*rbacv3.Permission) bool) (bool, string) {
	if r.rbac == nil || r.rbac.Action != rbacv3.RBAC_ALLOW {
		return false, ""
	}
	for name, p := range r.rbac.Policies {
		if slices.ContainsFunc(p.Permissions, permits) &&
			slices.ContainsFunc(p.Principals, func(x *rbacv3.Principal) bool { return isPrincipal(x, principal) }) {
			return true, name
		}
	}
	return false, ""
}

func isPrincipal(p *rbacv3.Principal, name string) bool {
	return p.GetAuthenticated() != nil && p.GetAuthenticated().GetPrincipalName().GetExact() == name
}

func permits(p *rbacv3.Permission, req Request) bool {
	switch rule := p.Rule.(type) {
	case *rbacv3.Permission_Any:
		return rule.Any
	case *rbacv3.Permission_UrlPath:
		path, _, _ := strings.Cut(req.Path, "?")
		return stringMatches(rule.UrlPath.GetPath(), path)
	case *rbacv3.Permission_Header:
		return headerMatches(rule.Header, req)
	case *rbacv3.Permission_AndRules:
		for _, r := range rule.AndRules.Rules {
			if !permits(r, req) {
				return false
			}
		}
		return true
	}
	return false
}
