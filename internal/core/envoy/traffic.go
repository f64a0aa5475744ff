package envoy

import (
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	upstreamhttpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"openservicemesh.io/osm/internal/core/envoy/filters"
	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
)

// maxBackoffFactor is how much longer than the first the longest wait between retries is.
const maxBackoffFactor = 10

// oneAtATime has each connection to an HTTP service carry one request at a time when its connections are limited: who
// limits them means the requests under way, as an HTTP/1.1 connection carries one at a time. Between sidecars requests would
// share connections, and the limit would limit nothing.
func oneAtATime(m *clusterv3.Cluster, c ir.Cluster) {
	if c.Limits == nil || c.Limits.MaxConnections == nil || c.Protocol != meshid.HTTP {
		return
	}
	o := &upstreamhttpv3.HttpProtocolOptions{}
	if m.TypedExtensionProtocolOptions[extHTTPOptions].UnmarshalTo(o) == nil {
		if h2 := o.GetExplicitHttpConfig().GetHttp2ProtocolOptions(); h2 != nil {
			h2.MaxConcurrentStreams = wrapperspb.UInt32(1)
		}
		m.TypedExtensionProtocolOptions = httpOptions(o)
	}
}

// retryPolicy is the user's or, without one, the one that is right for every request.
func retryPolicy(r *ir.Retry) *routev3.RetryPolicy {
	if r == nil {
		return &routev3.RetryPolicy{RetryOn: safeRetry, NumRetries: wrapperspb.UInt32(maxRetries)}
	}
	m := &routev3.RetryPolicy{RetryOn: r.On, NumRetries: wrapperspb.UInt32(r.Count)}
	if r.PerTry > 0 {
		m.PerTryTimeout = durationpb.New(time.Duration(r.PerTry))
	}
	if r.Backoff > 0 {
		m.RetryBackOff = &routev3.RetryPolicy_RetryBackOff{
			BaseInterval: durationpb.New(time.Duration(r.Backoff)),
			MaxInterval:  durationpb.New(time.Duration(r.Backoff) * maxBackoffFactor),
		}
	}
	return m
}

func limitHost(m *routev3.VirtualHost, v ir.VirtualHost, b buckets) {
	m.TypedPerFilterConfig = b.configs(m.TypedPerFilterConfig)
	m.RateLimits = filters.RateLimits(v.Descriptors)
	m.TypedPerFilterConfig = withFault(m.TypedPerFilterConfig, v.Fault)
}

func limitRoute(m *routev3.Route, r ir.Route, b buckets) {
	m.TypedPerFilterConfig = b.keptFrom(r)
	m.GetRoute().RateLimits = filters.RateLimits(r.Descriptors)
	m.TypedPerFilterConfig = withFault(m.TypedPerFilterConfig, r.Fault)
}

// askedBy lists the clusters that a chain's filters ask.
func askedBy(c ir.Chain) []string {
	var out []string
	if c.ConnectionQuota != nil {
		out = append(out, c.ConnectionQuota.Cluster)
	}
	if c.RequestQuota != nil {
		out = append(out, c.RequestQuota.Cluster)
	}
	if c.ExternalAuthorization != nil {
		out = append(out, c.ExternalAuthorization.Cluster)
	}
	if c.Tracing != nil {
		out = append(out, c.Tracing.Cluster)
	}
	return out
}
