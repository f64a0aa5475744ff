package envoy

import (
	"math"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"openservicemesh.io/osm/internal/core/ir"
)

// limit puts a cluster's limits in force. What has no limit of its own stays unlimited.
func limit(m *clusterv3.Cluster, l *ir.Limits) {
	m.CircuitBreakers = breakers(l)
	if l != nil {
		m.OutlierDetection = outliers(l.Outliers)
	}
	if l != nil && l.ConnectTimeout > 0 {
		m.ConnectTimeout = durationpb.New(l.ConnectTimeout)
	}
}

// breakers replaces Envoy's default limits (1,024 of each): a mesh must not be the first to say no. Limits are the user's
// to set.
func breakers(l *ir.Limits) *clusterv3.CircuitBreakers {
	if l == nil {
		l = &ir.Limits{}
	}
	return &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
		MaxConnections: atMost(l.MaxConnections), MaxPendingRequests: atMost(l.MaxPendingRequests),
		MaxRequests: atMost(l.MaxRequests), MaxRetries: atMost(l.MaxRetries), TrackRemaining: true}}}
}

func atMost(n *uint32) *wrapperspb.UInt32Value {
	if n == nil {
		return wrapperspb.UInt32(math.MaxUint32)
	}
	return wrapperspb.UInt32(*n)
}

// perConnection is the part of the limits that HTTP options carry; nil when there is none.
func perConnection(l *ir.Limits) *corev3.HttpProtocolOptions {
	if l == nil || l.MaxRequestsPerConnection == nil || *l.MaxRequestsPerConnection == 0 {
		return nil
	}
	return &corev3.HttpProtocolOptions{MaxRequestsPerConnection: wrapperspb.UInt32(*l.MaxRequestsPerConnection)}
}
