package filters

import (
	ondemandv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/on_demand/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
)

// NameOnDemand is the filter that has requests wait until the cluster they go to was fetched.
const NameOnDemand = "envoy.filters.http.on_demand"

// clusterSeconds is how long a call waits for its cluster: longer than a controller takes to start.
const clusterSeconds = 15

// onDemand fetches clusters over the stream that everything else comes over.
func onDemand() *hcmv3.HttpFilter {
	return httpFilter(NameOnDemand, &ondemandv3.OnDemand{Odcds: &ondemandv3.OnDemandCds{Source: ADS(), Timeout: seconds(clusterSeconds)}})
}
