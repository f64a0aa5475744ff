package filters

import (
	"testing"

	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	httprbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	netrbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/rbac/v3"
	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
)

// TestNobodyIsNotEverybody: an empty list of rules, principals or ports must not turn into a wildcard by accident.
func TestNobodyIsNotEverybody(t *testing.T) {
	for _, p := range principals(nil) {
		require.True(t, p.GetNotId().GetAny(), "no principal is nobody")
	}
	m := &netrbacv3.RBAC{}
	require.NoError(t, networkRBAC(ir.Access{}).GetTypedConfig().UnmarshalTo(m))
	require.NotNil(t, m.Rules, "without rules the filter would admit everybody")
	require.Equal(t, rbacv3.RBAC_ALLOW, m.Rules.Action)
	require.Empty(t, m.Rules.Policies)

	h := &httprbacv3.RBACPerRoute{}
	require.NoError(t, VirtualHostRBAC(ir.HTTPAccess{}).UnmarshalTo(h))
	require.NotNil(t, h.GetRbac().GetRules())
	require.Empty(t, h.GetRbac().GetRules().Policies)

	require.True(t, destinationPorts(nil)[0].GetAny(), "a rule without ports is for every port")
	require.Len(t, destinationPorts([]uint16{1, 2}), 2)
}

func TestNamesAreComparedExactly(t *testing.T) {
	for _, p := range principals([]string{"a.b.ns.td"}) {
		require.Equal(t, "a.b.ns.td", p.GetAuthenticated().GetPrincipalName().GetExact())
	}
}

func TestRequest(t *testing.T) {
	require.True(t, request(ir.RouteMatch{}).GetAny())
	p := request(ir.RouteMatch{Path: "/a", Method: "GET", Headers: []ir.HeaderMatch{{Name: "x", Regex: "1"}}})
	rules := p.GetAndRules().GetRules()
	require.Len(t, rules, 3)
	require.Equal(t, "/a", rules[0].GetUrlPath().GetPath().GetSafeRegex().GetRegex())
	require.Equal(t, ":method", rules[1].GetHeader().GetName())
	require.Equal(t, "x", rules[2].GetHeader().GetName())
}

func TestConnectionManager(t *testing.T) {
	read := func(c ir.Chain) *hcmv3.HttpConnectionManager {
		m := &hcmv3.HttpConnectionManager{}
		require.NoError(t, connectionManager(c, ir.LogFailures).GetTypedConfig().UnmarshalTo(m))
		return m
	}
	out := read(ir.Chain{Protocol: meshid.HTTP, RouteConfig: "r"})
	in := read(ir.Chain{Protocol: meshid.HTTP, RouteConfig: "r", MTLS: &ir.MTLS{}, NormalizePaths: true})
	require.Equal(t, hcmv3.HttpConnectionManager_AUTO, out.CodecType, "applications speak what they speak")
	require.Equal(t, hcmv3.HttpConnectionManager_HTTP2, in.CodecType, "sidecars speak HTTP/2")
	require.False(t, out.NormalizePath.GetValue())
	require.True(t, in.NormalizePath.GetValue() && in.MergeSlashes)
	require.Equal(t, hcmv3.HttpConnectionManager_UNESCAPE_AND_FORWARD, in.PathWithEscapedSlashesAction)
	for _, m := range []*hcmv3.HttpConnectionManager{in, out} {
		require.NotNil(t, m.InternalAddressConfig, "no address is trusted")
		require.NotZero(t, m.Http2ProtocolOptions.MaxConcurrentStreams.GetValue())
		require.Equal(t, NameRouter, m.HttpFilters[len(m.HttpFilters)-1].Name)
	}
	require.Equal(t, NameHTTPRBAC, in.HttpFilters[0].Name, "authorization comes first")
	require.Len(t, out.HttpFilters, 1)
}
