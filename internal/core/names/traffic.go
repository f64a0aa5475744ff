package names

// FlagRetryPolicy is MeshConfig's feature flag that switches Retry policies off.
const FlagRetryPolicy = "enableRetryPolicy"

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
