package envoy

import (
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"openservicemesh.io/osm/internal/core/names"
)

// endSeconds is the time between requests to end, and for one.
const endSeconds = 1

// endCluster has Envoy ask its own admin interface, which nobody else can reach, to end: discovery has no word for that, but a
// cluster is health-checked as soon as it is there, with whatever request. Envoy then ends in order, with exit code 0.
func endCluster(name string) *clusterv3.Cluster {
	m := staticCluster(name, names.PortEnvoyAdmin)
	m.HealthChecks = []*corev3.HealthCheck{{
		Timeout:            &durationpb.Duration{Seconds: endSeconds},
		Interval:           &durationpb.Duration{Seconds: endSeconds},
		NoTrafficInterval:  &durationpb.Duration{Seconds: endSeconds},
		UnhealthyThreshold: wrapperspb.UInt32(1),
		HealthyThreshold:   wrapperspb.UInt32(1),
		HealthChecker: &corev3.HealthCheck_HttpHealthCheck_{HttpHealthCheck: &corev3.HealthCheck_HttpHealthCheck{
			Host: name, Path: "/quitquitquit", Method: corev3.RequestMethod_POST,
		}},
	}}
	return m
}
