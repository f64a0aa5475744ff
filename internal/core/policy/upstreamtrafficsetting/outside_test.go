package upstreamtrafficsetting

import (
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	policyv1 "openservicemesh.io/osm/api/policy/v1alpha1"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/snapshot"
)

func TestRateOfAHostOutside(t *testing.T) {
	local := &policyv1.HTTPLocalRateLimitSpec{Requests: 3, Unit: policyv1.RateLimitUnitMinute}
	whole := policyv1.UpstreamTrafficSettingSpec{RateLimit: &policyv1.RateLimitSpec{Local: &policyv1.LocalRateLimitSpec{HTTP: local}}}
	route := policyv1.UpstreamTrafficSettingSpec{HTTPRoutes: []policyv1.HTTPRouteSpec{
		{Path: "/a"}, {Path: "/b", RateLimit: &policyv1.HTTPPerRouteRateLimitSpec{Local: local}}}}
	for _, c := range []struct {
		name, host, field string
		spec              policyv1.UpstreamTrafficSettingSpec
	}{
		{"host outside", "www.example.com", "spec.rateLimit: ", whole},
		{"route outside", "www.example.com", "spec.httpRoutes[1].rateLimit: ", route},
		{"nothing limited", "www.example.com", "", policyv1.UpstreamTrafficSettingSpec{}},
		{"in the mesh", "s.ns.svc.cluster.local", "", whole},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := &policyv1.UpstreamTrafficSetting{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "o"}, Spec: c.spec}
			o.Spec.Host = c.host
			_, findings := Compile([]*policyv1.UpstreamTrafficSetting{o}, func(meshid.Service) bool { return true })
			if c.field == "" {
				require.Empty(t, findings)
				return
			}
			require.Len(t, findings, 1)
			require.Equal(t, snapshot.Warning, findings[0].Severity)
			require.Equal(t, "NoEffect", findings[0].Reason)
			require.Contains(t, findings[0].Message, c.field)
			require.Contains(t, findings[0].Message, "spec.connectionSettings", "the cure")
		})
	}
}
