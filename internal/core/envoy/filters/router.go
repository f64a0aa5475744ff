package filters

import (
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
)

// NameRouter is the filter that sends requests on.
const NameRouter = "envoy.filters.http.router"

func router() *hcmv3.HttpFilter { return httpFilter(NameRouter, &routerv3.Router{}) }
