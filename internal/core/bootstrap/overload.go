package bootstrap

import (
	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	overloadv3 "github.com/envoyproxy/go-control-plane/envoy/config/overload/v3"
	fixedheapv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/fixed_heap/v3"
)

const (
	monitorHeap   = "envoy.resource_monitors.fixed_heap"
	overloadLooks = 250 // milliseconds between looks at the heap
	// besideHeap is what a sidecar's container is charged for beside Envoy's heap, in bytes: relocated data, stacks, the allocator's
	// own. (Pages of the program can be dropped, so they never lead to the end by lack of memory.)
	besideHeap = 12_000_000
)

// Shares of the heap's room from which Envoy helps itself: first it gives back what is free, then it closes HTTP connections when their
// answer is sent, then new requests are answered 503, and last new connections are closed.
const (
	heapShrink      = 0.85
	heapNoKeepalive = 0.92
	heapNoRequests  = 0.95
	heapNoAccept    = 0.98
)

// overload has a sidecar whose memory is limited turn new work away before the kernel ends it, which would cost all that it has under
// way (https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/operations/overload_manager/overload_manager). It is nil without a
// limit.
func (e *encoder) overload(limit int64) *overloadv3.OverloadManager {
	if limit <= 0 {
		return nil
	}
	from := func(share float64) []*overloadv3.Trigger {
		return []*overloadv3.Trigger{{Name: monitorHeap,
			TriggerOneof: &overloadv3.Trigger_Threshold{Threshold: &overloadv3.ThresholdTrigger{Value: share}}}}
	}
	return &overloadv3.OverloadManager{
		RefreshInterval: durationMillis(overloadLooks),
		ResourceMonitors: []*overloadv3.ResourceMonitor{{Name: monitorHeap, ConfigType: &overloadv3.ResourceMonitor_TypedConfig{
			TypedConfig: e.any(&fixedheapv3.FixedHeapConfig{MaxHeapSizeBytes: uint64(max(limit-besideHeap, limit/2))})}}},
		Actions: []*overloadv3.OverloadAction{
			{Name: "envoy.overload_actions.shrink_heap", Triggers: from(heapShrink)},
			{Name: "envoy.overload_actions.disable_http_keepalive", Triggers: from(heapNoKeepalive)},
			{Name: "envoy.overload_actions.stop_accepting_requests", Triggers: from(heapNoRequests)},
		},
		LoadshedPoints: []*overloadv3.LoadShedPoint{{Name: "envoy.load_shed_points.tcp_listener_accept", Triggers: from(heapNoAccept)}},
	}
}

// answerAlways keeps the kubelet's probes answered while calls are turned away: a restarted application would not help.
func answerAlways(b *bootstrapv3.Bootstrap) {
	if b.OverloadManager == nil {
		return
	}
	for _, l := range b.StaticResources.Listeners {
		l.BypassOverloadManager = true
	}
}
