package filters

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	httprbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	netrbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/rbac/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/names"
)

// Names of the authorization filters.
const (
	NameHTTPRBAC    = "envoy.filters.http.rbac"
	statNetworkRBAC = "network-"
)

// httpRBAC is empty by itself, which admits: a request without a route reaches the router and is answered 404. The
// virtual hosts carry the rules.
func httpRBAC() *hcmv3.HttpFilter { return httpFilter(NameHTTPRBAC, &httprbacv3.RBAC{}) }

// VirtualHostRBAC is the per-host configuration of the HTTP authorization filter: who may request what. Any rule that
// fits admits; with none the answer is 403.
func VirtualHostRBAC(a ir.HTTPAccess) *anypb.Any {
	rules := &rbacv3.RBAC{Action: rbacv3.RBAC_ALLOW, Policies: map[string]*rbacv3.Policy{}}
	for _, r := range a.Rules {
		rules.Policies[r.Name] = &rbacv3.Policy{Permissions: requests(r.Matches), Principals: principals(r.Principals)}
	}
	return Any(&httprbacv3.RBACPerRoute{Rbac: &httprbacv3.RBAC{Rules: rules}})
}

// networkRBAC admits connections. With no rules it admits none.
func networkRBAC(a ir.Access) *listenerv3.Filter {
	rules := &rbacv3.RBAC{Action: rbacv3.RBAC_ALLOW, Policies: map[string]*rbacv3.Policy{}}
	for _, r := range a.Rules {
		rules.Policies[r.Name] = &rbacv3.Policy{Permissions: destinationPorts(r.Ports), Principals: principals(r.Principals)}
	}
	return networkFilter(names.FilterL4RBAC, &netrbacv3.RBAC{StatPrefix: statNetworkRBAC, Rules: rules})
}

// principals match the certificate's name exactly. A list without names matches nobody: Envoy wants at least one
// principal, and "any" must never stand in for "none".
func principals(list []string) []*rbacv3.Principal {
	var out []*rbacv3.Principal
	for _, p := range list {
		out = append(out, &rbacv3.Principal{Identifier: &rbacv3.Principal_Authenticated_{
			Authenticated: &rbacv3.Principal_Authenticated{PrincipalName: Exact(p)}}})
	}
	if out == nil {
		out = append(out, &rbacv3.Principal{Identifier: &rbacv3.Principal_NotId{
			NotId: &rbacv3.Principal{Identifier: &rbacv3.Principal_Any{Any: true}}}})
	}
	return out
}

func destinationPorts(ports []uint16) []*rbacv3.Permission {
	if len(ports) == 0 {
		return []*rbacv3.Permission{anything()}
	}
	out := make([]*rbacv3.Permission, 0, len(ports))
	for _, p := range ports {
		out = append(out, &rbacv3.Permission{Rule: &rbacv3.Permission_DestinationPort{DestinationPort: uint32(p)}})
	}
	return out
}

func requests(matches []ir.RouteMatch) []*rbacv3.Permission {
	out := make([]*rbacv3.Permission, 0, len(matches))
	for _, m := range matches {
		out = append(out, request(m))
	}
	return out
}

func request(m ir.RouteMatch) *rbacv3.Permission {
	var all []*rbacv3.Permission
	if m.Path != "" {
		all = append(all, &rbacv3.Permission{Rule: &rbacv3.Permission_UrlPath{UrlPath: &matcherv3.PathMatcher{
			Rule: &matcherv3.PathMatcher_Path{Path: Regex(m.Path)}}}})
	}
	for _, h := range HeaderMatchers(m) {
		all = append(all, &rbacv3.Permission{Rule: &rbacv3.Permission_Header{Header: h}})
	}
	if len(all) == 0 {
		return anything()
	}
	return &rbacv3.Permission{Rule: &rbacv3.Permission_AndRules{AndRules: &rbacv3.Permission_Set{Rules: all}}}
}

func anything() *rbacv3.Permission {
	return &rbacv3.Permission{Rule: &rbacv3.Permission_Any{Any: true}}
}

// HeaderMatchers are the method and header conditions of a match, for routes and for rules alike, so that what is
// routed and what is judged cannot differ.
func HeaderMatchers(m ir.RouteMatch) []*routev3.HeaderMatcher {
	var out []*routev3.HeaderMatcher
	if m.Method != "" {
		out = append(out, headerMatcher(":method", m.Method))
	}
	for _, h := range m.Headers {
		out = append(out, headerMatcher(h.Name, h.Regex))
	}
	return out
}

func headerMatcher(name, regex string) *routev3.HeaderMatcher {
	return &routev3.HeaderMatcher{Name: name, HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: Regex(regex)}}
}

// Regex matches a whole value by an RE2 expression.
func Regex(s string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: s}}}
}

// Exact matches a whole value as it stands.
func Exact(s string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: s}}
}

// ADS is the config source of everything a sidecar is sent. Without a time limit a listener or cluster waits for what
// it refers to instead of going into service half configured.
func ADS() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ResourceApiVersion:    corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
		InitialFetchTimeout:   seconds(0),
	}
}
