package names

// FlagRetryPolicy is MeshConfig's feature flag that switches Retry policies off.
const FlagRetryPolicy = "enableRetryPolicy"

// FlagRequestStats is MeshConfig's feature flag for the metrics osm_request_total and osm_request_duration_ms. It is called
// after what the original made them with.
const FlagRequestStats = "enableWASMStats"

// Environment variables of the sidecar, from which it knows whose it is.
const (
	EnvPodName      = "POD_NAME"
	EnvPodNamespace = "POD_NAMESPACE"
	EnvWorkloadKind = "OSM_WORKLOAD_KIND"
	EnvWorkloadName = "OSM_WORKLOAD_NAME"
)

// Clusters, filters and statistics of limits and of external authorization.
const (
	ClusterExternalAuthorization = "ext-authz-cluster"
	FilterL4LocalRateLimit       = "l4_local_rate_limit"
	FilterL4GlobalRateLimit      = "l4_global_rate_limit"
	StatPrefixHTTPLocalRateLimit = "http_local_rate_limiter"
	StatPrefixExtAuthz           = "inboundExtAuthz"
)

// RateLimitCluster returns "<host>|<port>", a rate limit service.
func RateLimitCluster(host string, port uint16) string { return host + "|" + num(port) }
