package bootstrap

import (
	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/config/metrics/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
)

// idleStats are counters of secrets and of the mesh's clusters, whose names have a "|", that tell nothing about calls: how
// the cluster itself is discovered, kinds of load balancing that the mesh does not use, the priority "high" that no route
// has, certificates (which /certs tells). Envoy keeps them for every cluster, also those never called, at 10 kB each.
const idleStats = `sds\..*|cluster\.[^|]*\|.*\.(` +
	`(update|assignment|lb_subsets|lb_zone|ssl\.ocsp)_.*|version|version_text|init_fetch_timeout|warming_state|` +
	`lb_local_cluster_not_ok|lb_recalculate_zone_structures|max_host_weight|membership_(degraded|excluded)|` +
	`ssl\.certificate\..*|client_ssl_socket_factory\..*|default\.total_match_count|circuit_breakers\.high\..*)`

// stats leaves out what nobody reads. Whatever is about calls, connections, limits and hosts stays.
func stats() *metricsv3.StatsConfig {
	return &metricsv3.StatsConfig{StatsMatcher: &metricsv3.StatsMatcher{StatsMatcher: &metricsv3.StatsMatcher_ExclusionList{
		ExclusionList: &matcherv3.ListStringMatcher{Patterns: []*matcherv3.StringMatcher{
			{MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: idleStats}}},
		}}}}}
}
