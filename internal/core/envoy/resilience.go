package envoy

import (
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"openservicemesh.io/osm/internal/core/envoy/filters"
	"openservicemesh.io/osm/internal/core/ir"
)

// outliers leaves out addresses by errors in a row alone. Envoy's other ways, by comparing addresses with each other, are
// switched off: nobody who asked for one would expect them.
func outliers(o *ir.Outliers) *clusterv3.OutlierDetection {
	if o == nil {
		return nil
	}
	return &clusterv3.OutlierDetection{
		Consecutive_5Xx:          wrapperspb.UInt32(o.Consecutive),
		EnforcingConsecutive_5Xx: wrapperspb.UInt32(100),
		Interval:                 protoDuration(o.Interval),
		BaseEjectionTime:         protoDuration(o.Ejection),
		MaxEjectionPercent:       wrapperspb.UInt32(o.MaxPercent),
		EnforcingSuccessRate:     wrapperspb.UInt32(0),
		// With few pods the percentage may come to none at all.
		AlwaysEjectOneHost: wrapperspb.Bool(true),
	}
}

// protoDuration is exact; 0 stays 0.
func protoDuration(d ir.Duration) *durationpb.Duration {
	return &durationpb.Duration{Seconds: int64(d) / 1e9, Nanos: int32(int64(d) % 1e9)}
}

// patience puts a route's timeouts into its action. No timeout is said too: Envoy's own is 15 seconds.
func patience(a *routev3.RouteAction, r ir.Route) {
	a.Timeout = protoDuration(r.Timeout)
	if r.Idle > 0 {
		a.IdleTimeout = protoDuration(r.Idle)
	}
}

// mirror copies requests as they are: without the host name changed, so that the service which gets the copies sees what
// the other sees.
func mirror(a *routev3.RouteAction, m *ir.Mirror) {
	if m == nil {
		return
	}
	a.RequestMirrorPolicies = []*routev3.RouteAction_RequestMirrorPolicy{{
		Cluster:                       m.Cluster,
		RuntimeFraction:               &corev3.RuntimeFractionalPercent{DefaultValue: filters.Percent(m.Percent)},
		DisableShadowHostSuffixAppend: true,
	}}
}

// withFault adds faults to the filters' configuration of a virtual host or a route.
func withFault(config map[string]*anypb.Any, f *ir.Fault) map[string]*anypb.Any {
	if f == nil {
		return config
	}
	return with(config, filters.NameFault, filters.Fault(*f))
}
