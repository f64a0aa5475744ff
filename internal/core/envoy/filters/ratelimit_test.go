package filters

import (
	"maps"
	"slices"
	"testing"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	httplocalv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/local_ratelimit/v3"
	httpquotav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ratelimit/v3"
	netquotav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/ratelimit/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/policy/upstreamtrafficsetting"
)

// TestOrder is the order that the reference names.
func TestOrder(t *testing.T) {
	quota := ir.Quota{Cluster: "rls", Domain: "d"}
	c := ir.Chain{
		Name: "in", Protocol: meshid.HTTP, RouteConfig: "r", MTLS: &ir.MTLS{}, Access: &ir.Access{}, RequestRates: true,
		ConnectionRate: &ir.Rate{Tokens: 1, Refill: 1, Period: ir.Duration(time.Second)}, ConnectionQuota: &ir.ConnectionQuota{Quota: quota},
		RequestQuota: &ir.RequestQuota{Quota: quota}, ExternalAuthorization: &ir.ExternalAuthorization{Cluster: "authz"},
	}
	var network, http []string
	for _, f := range Network(c, ir.LogAll) {
		network = append(network, f.Name)
	}
	for _, f := range HTTP(c) {
		http = append(http, f.Name)
	}
	require.Equal(t, []string{"l4_rbac", "l4_local_rate_limit", "l4_global_rate_limit", NameConnectionManager}, network)
	limits := []string{NameLocalRateLimit, NameLocalRateLimit + ".1", NameLocalRateLimit + ".2", NameLocalRateLimit + ".3", NameLocalRateLimit + ".4"}
	require.Equal(t, slices.Concat([]string{NameHTTPRBAC}, limits, []string{NameExtAuthz, NameRateLimit, NameRouter}), http)

	c.RouteRates = 4
	require.Len(t, HTTP(c), 9, "a limit more needs no other filters")
	c.RouteRates = 5
	require.Len(t, HTTP(c), 13, "each path with a limit of its own has a filter")

	c.Protocol, c.TCP = meshid.TCP, []ir.Target{{Cluster: "x"}}
	require.Len(t, Network(c, ir.LogAll), 4)
	outbound := HTTP(ir.Chain{OnDemand: true, Faults: true})
	require.Equal(t, NameOnDemand, outbound[0].Name, "what a request does beside is done once its cluster is there")
	ingress := HTTP(ir.Chain{ExternalAuthorization: &ir.ExternalAuthorization{Cluster: "authz"}})
	require.Equal(t, []string{NameExtAuthz, NameRouter}, []string{ingress[0].Name, ingress[1].Name}, "a chain without mesh TLS asks too")
}

func TestQuotas(t *testing.T) {
	m := &httpquotav3.RateLimit{}
	require.NoError(t, requestQuota(ir.RequestQuota{Quota: ir.Quota{Cluster: "rls", Domain: "d"}}).GetTypedConfig().UnmarshalTo(m))
	require.False(t, m.FailureModeDeny)
	require.Nil(t, m.Timeout, "Envoy's own")
	require.Nil(t, m.RateLimitedStatus)
	require.Equal(t, httpquotav3.RateLimit_OFF, m.EnableXRatelimitHeaders)
	require.Equal(t, "rls", m.RateLimitService.GrpcService.GetEnvoyGrpc().ClusterName)

	n := &netquotav3.RateLimit{}
	f := connectionQuota(ir.Chain{Name: "chain", ConnectionQuota: &ir.ConnectionQuota{
		Quota:       ir.Quota{Cluster: "rls", Domain: "d", Timeout: ir.Duration(time.Second), FailClosed: true},
		Descriptors: []ir.Descriptor{{Entries: []ir.DescriptorEntry{{Key: "a", Value: "b"}}}}}})
	require.NoError(t, f.GetTypedConfig().UnmarshalTo(n))
	require.True(t, n.FailureModeDeny)
	require.Equal(t, "chain", n.StatPrefix)
	require.Equal(t, time.Second, n.Timeout.AsDuration())
	require.Equal(t, "b", n.Descriptors[0].Entries[0].Value)
}

// TestTextIsNoFormat: what a user writes into a header is not read as Envoy's own words.
func TestTextIsNoFormat(t *testing.T) {
	m := &httplocalv3.LocalRateLimit{}
	require.NoError(t, RequestRate(ir.RequestRate{Headers: []ir.Header{{Name: "a", Value: "%REQ(cookie)% 100%"}}}).UnmarshalTo(m))
	require.Equal(t, "%%REQ(cookie)%% 100%%", m.ResponseHeadersToAdd[0].Header.Value)
	require.EqualValues(t, 100, m.FilterEnabled.DefaultValue.Numerator)
	require.EqualValues(t, 100, m.FilterEnforced.DefaultValue.Numerator)
}

func TestHeaderConditions(t *testing.T) {
	yes := true
	for _, c := range []struct {
		in   ir.HeaderCondition
		want func(*routev3.HeaderMatcher) string
	}{
		{ir.HeaderCondition{Exact: "x"}, func(m *routev3.HeaderMatcher) string { return m.GetStringMatch().GetExact() }},
		{ir.HeaderCondition{Prefix: "x"}, func(m *routev3.HeaderMatcher) string { return m.GetStringMatch().GetPrefix() }},
		{ir.HeaderCondition{Suffix: "x"}, func(m *routev3.HeaderMatcher) string { return m.GetStringMatch().GetSuffix() }},
		{ir.HeaderCondition{Contains: "x"}, func(m *routev3.HeaderMatcher) string { return m.GetStringMatch().GetContains() }},
		{ir.HeaderCondition{Regex: "x"}, func(m *routev3.HeaderMatcher) string { return m.GetStringMatch().GetSafeRegex().GetRegex() }},
	} {
		require.Equal(t, "x", c.want(headerCondition(c.in)), "%+v", c.in)
	}
	require.True(t, headerCondition(ir.HeaderCondition{Present: &yes}).GetPresentMatch())
	no := RateLimits([]ir.Descriptor{{Entries: []ir.DescriptorEntry{{Kind: ir.HeaderValueMatch, Not: true, Headers: []ir.HeaderCondition{{Name: "h", Exact: "x"}}}}}})
	require.False(t, no[0].Actions[0].GetHeaderValueMatch().ExpectMatch.GetValue())
}

// TestStatuses: over a status it does not know Envoy would refuse everything.
func TestStatuses(t *testing.T) {
	var want []int
	for _, code := range slices.Sorted(maps.Keys(typev3.StatusCode_name)) {
		if code >= 400 {
			want = append(want, int(code))
		}
	}
	require.Equal(t, want, upstreamtrafficsetting.Statuses())
}
