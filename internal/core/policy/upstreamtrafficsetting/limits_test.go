package upstreamtrafficsetting

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/utils/ptr"

	policyv1 "openservicemesh.io/osm/api/policy/v1alpha1"
	"openservicemesh.io/osm/internal/core/ir"
)

func TestLimits(t *testing.T) {
	n := ptr.To[int64]
	for _, c := range []struct {
		name string
		in   *policyv1.ConnectionSettingsSpec
		want *ir.Limits
		err  string
	}{
		{"none", nil, nil, ""},
		{"empty", &policyv1.ConnectionSettingsSpec{TCP: &policyv1.TCPConnectionSettings{}, HTTP: &policyv1.HTTPConnectionSettings{}}, nil, ""},
		{"all", &policyv1.ConnectionSettingsSpec{
			TCP:  &policyv1.TCPConnectionSettings{MaxConnections: n(1), ConnectTimeout: "3s"},
			HTTP: &policyv1.HTTPConnectionSettings{MaxRequests: n(2), MaxRequestsPerConnection: n(3), MaxPendingRequests: n(0), MaxRetries: n(4294967295)},
		}, &ir.Limits{
			MaxConnections: ptr.To[uint32](1), ConnectTimeout: 3 * time.Second, MaxRequests: ptr.To[uint32](2),
			MaxRequestsPerConnection: ptr.To[uint32](3), MaxPendingRequests: ptr.To[uint32](0), MaxRetries: ptr.To[uint32](4294967295),
		}, ""},
		{"too large", &policyv1.ConnectionSettingsSpec{HTTP: &policyv1.HTTPConnectionSettings{MaxRequests: n(4294967296)}}, nil, "http.maxRequests: 4294967296"},
		{"negative", &policyv1.ConnectionSettingsSpec{TCP: &policyv1.TCPConnectionSettings{MaxConnections: n(-1)}}, nil, "tcp.maxConnections: -1"},
		{"no duration", &policyv1.ConnectionSettingsSpec{TCP: &policyv1.TCPConnectionSettings{ConnectTimeout: "soon"}}, nil, `connectTimeout: "soon" is not a duration`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Limits(&policyv1.UpstreamTrafficSetting{Spec: policyv1.UpstreamTrafficSettingSpec{ConnectionSettings: c.in}})
			require.Equal(t, c.want, got)
			if c.err == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.err)
			}
		})
	}
}
