package filters

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"openservicemesh.io/osm/internal/core/ir"
)

// NameExtAuthz is the filter that asks an authorizer.
const NameExtAuthz = "envoy.filters.http.ext_authz"

// maxAuthorizedBody is how much of a request's body the authorizer is shown, in bytes.
const maxAuthorizedBody = 8192

// externalAuthorization refuses a request when the authorizer says no or, unless FailOpen, nothing in time.
func externalAuthorization(a ir.ExternalAuthorization) *hcmv3.HttpFilter {
	return httpFilter(NameExtAuthz, &extauthzv3.ExtAuthz{
		Services:            &extauthzv3.ExtAuthz_GrpcService{GrpcService: grpcTo(a.Cluster, a.Timeout)},
		TransportApiVersion: corev3.ApiVersion_V3,
		FailureModeAllow:    a.FailOpen,
		WithRequestBody:     &extauthzv3.BufferSettings{MaxRequestBytes: maxAuthorizedBody, AllowPartialMessage: true},
		StatPrefix:          a.StatPrefix,
	})
}
