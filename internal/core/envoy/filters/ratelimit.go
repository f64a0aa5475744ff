package filters

import (
	"slices"
	"strconv"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/config/ratelimit/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	rlcommonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	httplocalv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/local_ratelimit/v3"
	httpquotav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ratelimit/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	netlocalv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/local_ratelimit/v3"
	netquotav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/ratelimit/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/names"
)

// Names of the HTTP rate limit filters.
const (
	NameLocalRateLimit = "envoy.filters.http.local_ratelimit"
	NameRateLimit      = "envoy.filters.http.ratelimit"
)

// localRateLimits do nothing by themselves; virtual hosts carry the buckets. The first filter is for the bucket of a whole
// virtual host, and each path with a bucket of its own has a filter of its own: a bucket that a route carried would be that
// route's alone, while a path is as many routes as it has methods and HTTP versions.
func localRateLimits(paths int) []*hcmv3.HttpFilter {
	var out []*hcmv3.HttpFilter
	for i := range 1 + roundUp(paths, spareLimits) {
		out = append(out, httpFilter(LocalRateLimitName(i), &httplocalv3.LocalRateLimit{StatPrefix: names.StatPrefixHTTPLocalRateLimit}))
	}
	return out
}

// spareLimits is how many paths can get a limit before a chain needs another filter. A chain with other filters is another
// chain: what was connected to the one of before ends with its next request, which meets no new limit.
const spareLimits = 4

// roundUp returns the smallest positive multiple of step that is at least n.
func roundUp(n, step int) int { return max(1, (n+step-1)/step) * step }

// LocalRateLimitName is the name of the filter for the i-th path with a bucket of its own, counted from 1; of 0 it is that
// for whole virtual hosts.
func LocalRateLimitName(i int) string {
	if i == 0 {
		return NameLocalRateLimit
	}
	return NameLocalRateLimit + "." + strconv.Itoa(i)
}

// IsLocalRateLimit reports whether a filter is one of those.
func IsLocalRateLimit(name string) bool {
	return name == NameLocalRateLimit || strings.HasPrefix(name, NameLocalRateLimit+".")
}

// Disabled keeps a filter of a virtual host away from one of its routes.
func Disabled() *anypb.Any { return Any(&routev3.FilterConfig{Disabled: true}) }

// RequestRate is the configuration of a local rate limit filter for one virtual host.
func RequestRate(r ir.RequestRate) *anypb.Any {
	m := &httplocalv3.LocalRateLimit{
		StatPrefix:     names.StatPrefixHTTPLocalRateLimit,
		TokenBucket:    tokenBucket(r.Rate),
		FilterEnabled:  always("local_rate_limit_enabled"),
		FilterEnforced: always("local_rate_limit_enforced"),
	}
	if r.Status != 0 {
		m.Status = &typev3.HttpStatus{Code: typev3.StatusCode(r.Status)}
	}
	for _, h := range r.Headers {
		m.ResponseHeadersToAdd = append(m.ResponseHeadersToAdd, &corev3.HeaderValueOption{
			Header:       &corev3.HeaderValue{Key: h.Name, Value: literal(h.Value)},
			AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
		})
	}
	return Any(m)
}

// literal has Envoy take a text as it stands: it reads "%" as the beginning of one of its own words.
func literal(s string) string { return strings.ReplaceAll(s, "%", "%%") }

func tokenBucket(r ir.Rate) *typev3.TokenBucket {
	return &typev3.TokenBucket{
		MaxTokens: r.Tokens, TokensPerFill: wrapperspb.UInt32(r.Refill), FillInterval: duration(r.Period)}
}

func always(key string) *corev3.RuntimeFractionalPercent {
	return &corev3.RuntimeFractionalPercent{
		DefaultValue: &typev3.FractionalPercent{Numerator: 100, Denominator: typev3.FractionalPercent_HUNDRED}, RuntimeKey: key}
}

func duration(d ir.Duration) *durationpb.Duration { return durationpb.New(time.Duration(d)) }

// optional leaves a duration of 0 to Envoy.
func optional(d ir.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return duration(d)
}

// connectionRate closes connections over the rate. Its statistics bear the chain's name.
func connectionRate(c ir.Chain) *listenerv3.Filter {
	return networkFilter(names.FilterL4LocalRateLimit, &netlocalv3.LocalRateLimit{StatPrefix: c.Name, TokenBucket: tokenBucket(*c.ConnectionRate)})
}

// connectionQuota asks a rate limit service about each connection.
func connectionQuota(c ir.Chain) *listenerv3.Filter {
	q := c.ConnectionQuota
	m := &netquotav3.RateLimit{
		StatPrefix: c.Name, Domain: q.Domain, Timeout: optional(q.Timeout), FailureModeDeny: q.FailClosed,
		RateLimitService: rateLimitService(q.Quota),
	}
	for _, d := range q.Descriptors {
		one := &rlcommonv3.RateLimitDescriptor{}
		for _, e := range d.Entries {
			one.Entries = append(one.Entries, &rlcommonv3.RateLimitDescriptor_Entry{Key: e.Key, Value: e.Value})
		}
		m.Descriptors = append(m.Descriptors, one)
	}
	return networkFilter(names.FilterL4GlobalRateLimit, m)
}

// requestQuota asks a rate limit service about requests whose virtual host or route has descriptors.
func requestQuota(q ir.RequestQuota) *hcmv3.HttpFilter {
	m := &httpquotav3.RateLimit{
		Domain: q.Domain, Timeout: optional(q.Timeout), FailureModeDeny: q.FailClosed, RateLimitService: rateLimitService(q.Quota),
	}
	if q.XRateLimitHeaders {
		m.EnableXRatelimitHeaders = httpquotav3.RateLimit_DRAFT_VERSION_03
	}
	if q.Status != 0 {
		m.RateLimitedStatus = &typev3.HttpStatus{Code: typev3.StatusCode(q.Status)}
	}
	return httpFilter(NameRateLimit, m)
}

func rateLimitService(q ir.Quota) *rlsv3.RateLimitServiceConfig {
	return &rlsv3.RateLimitServiceConfig{TransportApiVersion: corev3.ApiVersion_V3, GrpcService: grpcTo(q.Cluster, q.Timeout)}
}

func grpcTo(cluster string, timeout ir.Duration) *corev3.GrpcService {
	return &corev3.GrpcService{
		TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: cluster}},
		Timeout:         optional(timeout),
	}
}

// RateLimits are the questions that virtual hosts and routes have for the rate limit service.
func RateLimits(list []ir.Descriptor) []*routev3.RateLimit {
	out := make([]*routev3.RateLimit, 0, len(list))
	for _, d := range list {
		one := &routev3.RateLimit{}
		for _, e := range d.Entries {
			one.Actions = append(one.Actions, rateLimitAction(e))
		}
		out = append(out, one)
	}
	return slices.Clip(out)
}

func rateLimitAction(e ir.DescriptorEntry) *routev3.RateLimit_Action {
	switch e.Kind {
	case ir.RemoteAddress:
		return &routev3.RateLimit_Action{ActionSpecifier: &routev3.RateLimit_Action_RemoteAddress_{RemoteAddress: &routev3.RateLimit_Action_RemoteAddress{}}}
	case ir.RequestHeader:
		return &routev3.RateLimit_Action{ActionSpecifier: &routev3.RateLimit_Action_RequestHeaders_{
			RequestHeaders: &routev3.RateLimit_Action_RequestHeaders{HeaderName: e.Header, DescriptorKey: e.Key}}}
	case ir.HeaderValueMatch:
		m := &routev3.RateLimit_Action_HeaderValueMatch{DescriptorKey: e.Key, DescriptorValue: e.Value, ExpectMatch: wrapperspb.Bool(!e.Not)}
		for _, h := range e.Headers {
			m.Headers = append(m.Headers, headerCondition(h))
		}
		return &routev3.RateLimit_Action{ActionSpecifier: &routev3.RateLimit_Action_HeaderValueMatch_{HeaderValueMatch: m}}
	default:
		return &routev3.RateLimit_Action{ActionSpecifier: &routev3.RateLimit_Action_GenericKey_{
			GenericKey: &routev3.RateLimit_Action_GenericKey{DescriptorKey: e.Key, DescriptorValue: e.Value}}}
	}
}

func headerCondition(c ir.HeaderCondition) *routev3.HeaderMatcher {
	if c.Present != nil {
		return &routev3.HeaderMatcher{Name: c.Name, HeaderMatchSpecifier: &routev3.HeaderMatcher_PresentMatch{PresentMatch: *c.Present}}
	}
	text := Regex(c.Regex)
	switch {
	case c.Exact != "":
		text = Exact(c.Exact)
	case c.Prefix != "":
		text = &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: c.Prefix}}
	case c.Suffix != "":
		text = &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Suffix{Suffix: c.Suffix}}
	case c.Contains != "":
		text = &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Contains{Contains: c.Contains}}
	}
	return &routev3.HeaderMatcher{Name: c.Name, HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: text}}
}
