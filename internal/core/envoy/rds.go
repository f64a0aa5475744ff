package envoy

import (
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"openservicemesh.io/osm/internal/core/envoy/filters"
	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/names"
)

// safeRetry names the failures after which a request has certainly not been processed, so sending it again (to another
// pod) is right for every method: the pod is just going away or its connection was.
const (
	safeRetry  = "connect-failure,refused-stream,reset-before-request"
	maxRetries = 2
	// The field virtual_hosts of a RouteConfiguration.
	fieldVirtualHosts = 2
)

func (t *translator) routeConfig(rc ir.RouteConfig, twins map[string]string) {
	m := &routev3.RouteConfiguration{Name: rc.Name, ValidateClusters: wrapperspb.Bool(false)}
	headers(m, rc)
	all(t, rc.VirtualHosts, rc.Shared && !rc.Inbound, digest{}, func(v ir.VirtualHost) { t.host(v, rc.Inbound, twins) })
	t.assemble(Route, m.Name, m, fieldVirtualHosts)
}

// host encodes one virtual host of the route config that is being made.
func (t *translator) host(v ir.VirtualHost, inbound bool, twins map[string]string) {
	from := struct {
		Host    ir.VirtualHost
		Inbound bool
		Twins   []string
	}{Host: v, Inbound: inbound}
	for _, r := range v.Routes {
		for _, target := range r.Targets {
			if twin := twins[target.Cluster]; twin != "" {
				from.Twins = append(from.Twins, target.Cluster, twin)
			}
		}
	}
	t.part(fieldVirtualHosts, from, func() (proto.Message, []Ref) { return virtualHost(v, inbound, twins), hostRefs(v, twins) })
}

func hostRefs(v ir.VirtualHost, twins map[string]string) []Ref {
	var refs []Ref
	for _, r := range v.Routes {
		for _, target := range r.Targets {
			refs = append(refs, Ref{Cluster, target.Cluster})
			if twin := twins[target.Cluster]; twin != "" {
				refs = append(refs, Ref{Cluster, twin})
			}
		}
		if r.Mirror != nil {
			refs = append(refs, Ref{Cluster, r.Mirror.Cluster})
		}
	}
	return refs
}

// http2Twins maps a local cluster to the cluster that speaks HTTP/2 to the same application.
func http2Twins(clusters []ir.Cluster) map[string]string {
	twins := map[string]string{}
	for _, c := range clusters {
		if c.HTTP2Local {
			twins[c.Name[:len(c.Name)-len(names.HTTP2Suffix)]] = c.Name
		}
	}
	return twins
}

func virtualHost(v ir.VirtualHost, inbound bool, twins map[string]string) *routev3.VirtualHost {
	out := &routev3.VirtualHost{Name: v.Name, Domains: v.Hosts}
	limits := bucketsOf(v)
	for _, r := range v.Routes {
		if twin := twins[r.Targets[0].Cluster]; twin != "" {
			out.Routes = append(out.Routes, route(r, twin, limits))
		}
		out.Routes = append(out.Routes, route(r, "", limits))
	}
	if v.Access != nil {
		out.TypedPerFilterConfig = map[string]*anypb.Any{filters.NameHTTPRBAC: filters.VirtualHostRBAC(*v.Access)}
	}
	if inbound {
		out.RequestHeadersToRemove = lookalikes(v.Routes)
	}
	limitHost(out, v, limits)
	return out
}

// headers says what every request of a route config loses and gets. It stands there once: a sidecar that knows many
// services would keep it for each.
func headers(m *routev3.RouteConfiguration, rc ir.RouteConfig) {
	m.RequestHeadersToRemove = slices.Clone(untrusted)
	switch {
	case rc.External:
	case rc.Inbound:
		m.RequestHeadersToRemove = append(m.RequestHeadersToRemove, names.HeaderDownstreamProtocol)
	default:
		m.RequestHeadersToAdd = []*corev3.HeaderValueOption{overwrite(names.HeaderDownstreamProtocol, "%PROTOCOL%")}
	}
}

// untrusted are headers that Envoy writes for those behind it but does not take away when a client sends them: they would
// put false paths and operations into logs and traces, name a destination to a gateway that goes by them, and an address or
// a caller to an application that believes them.
var untrusted = []string{
	"x-envoy-decorator-operation", "x-envoy-downstream-service-cluster", "x-envoy-downstream-service-node", "x-envoy-external-address",
	"x-envoy-original-dst-host", "x-envoy-original-path",
}

// lookalikes lists how a client could spell the headers that routes judge so that some applications, which read "_" as
// "-", take them for the judged ones. The application gets the judged spelling alone.
func lookalikes(routes []ir.Route) []string {
	var out []string
	for _, r := range routes {
		for _, h := range r.Match.Headers {
			if strings.HasPrefix(h.Name, ":") {
				continue
			}
			out = append(out, underscored(h.Name)...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// maxDashes bounds the spellings of one name; of a name with more dashes only the one with all of them replaced counts.
const maxDashes = 4

// underscored lists the spellings of a name with some of its dashes replaced by underscores.
func underscored(name string) []string {
	parts := strings.Split(name, "-")
	dashes := len(parts) - 1
	if dashes == 0 {
		return nil
	}
	if dashes > maxDashes {
		return []string{strings.Join(parts, "_")}
	}
	out := make([]string, 0, 1<<dashes-1)
	for mask := 1; mask < 1<<dashes; mask++ {
		var b strings.Builder
		b.WriteString(parts[0])
		for i, p := range parts[1:] {
			b.WriteByte("-_"[mask>>i&1])
			b.WriteString(p)
		}
		out = append(out, b.String())
	}
	return out
}

// route encodes one route. With a twin it is the variant for requests whose caller spoke HTTP/2 to its own sidecar.
func route(r ir.Route, twin string, limits buckets) *routev3.Route {
	m := &routev3.RouteMatch{Headers: filters.HeaderMatchers(r.Match)}
	if r.Match.Path == "" {
		m.PathSpecifier = &routev3.RouteMatch_Prefix{Prefix: "/"}
	} else {
		m.PathSpecifier = &routev3.RouteMatch_SafeRegex{SafeRegex: filters.Regex(r.Match.Path).GetSafeRegex()}
	}
	targets := r.Targets
	if twin != "" {
		m.Headers = append(m.Headers, &routev3.HeaderMatcher{
			Name: names.HeaderDownstreamProtocol, HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: filters.Exact("HTTP/2")}})
		targets = []ir.Target{{Cluster: twin, Weight: targets[0].Weight}}
	}
	out := &routev3.Route{Match: m, Action: &routev3.Route_Route{Route: action(targets, r)}}
	limitRoute(out, r, limits)
	return out
}

func action(targets []ir.Target, r ir.Route) *routev3.RouteAction {
	a := &routev3.RouteAction{RetryPolicy: retryPolicy(r.Retry)}
	// Unless its owner says so, no limit on a request's time: streams and slow answers are the application's business.
	patience(a, r)
	mirror(a, r.Mirror)
	if len(targets) == 1 {
		a.ClusterSpecifier = &routev3.RouteAction_Cluster{Cluster: targets[0].Cluster}
		return a
	}
	w := &routev3.WeightedCluster{}
	for _, t := range targets {
		w.Clusters = append(w.Clusters, &routev3.WeightedCluster_ClusterWeight{Name: t.Cluster, Weight: wrapperspb.UInt32(t.Weight)})
	}
	a.ClusterSpecifier = &routev3.RouteAction_WeightedClusters{WeightedClusters: w}
	return a
}
