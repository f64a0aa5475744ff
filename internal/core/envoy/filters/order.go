package filters

import (
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"openservicemesh.io/osm/internal/core/ir"
)

// HTTP lists the HTTP filters of a chain. Authorization stands first: nothing else is spent on a request that is not
// allowed. What costs nothing (counting here) goes before what asks others. Faults stand in for the application, so they
// come after all that. What waits for a cluster stands before everything, so that a request which is begun anew then has done
// nothing yet. The router stands last, as Envoy demands.
func HTTP(c ir.Chain) []*hcmv3.HttpFilter {
	var out []*hcmv3.HttpFilter
	if c.OnDemand {
		out = append(out, onDemand())
	}
	if c.MTLS != nil && c.Side == "" {
		out = append(out, httpRBAC())
	}
	if c.RequestRates {
		out = append(out, localRateLimits(c.RouteRates)...)
	}
	if c.ExternalAuthorization != nil {
		out = append(out, externalAuthorization(*c.ExternalAuthorization))
	}
	if c.RequestQuota != nil {
		out = append(out, requestQuota(*c.RequestQuota))
	}
	if c.Faults {
		out = append(out, faults())
	}
	return append(out, router())
}

// Network lists the network filters of a chain: admission first, then what moves the bytes.
func Network(c ir.Chain, log ir.AccessLog) []*listenerv3.Filter {
	var out []*listenerv3.Filter
	if c.Access != nil {
		out = append(out, networkRBAC(*c.Access))
	}
	if c.ConnectionRate != nil {
		out = append(out, connectionRate(c))
	}
	if c.ConnectionQuota != nil {
		out = append(out, connectionQuota(c))
	}
	if c.Protocol.IsHTTP() {
		return append(out, connectionManager(c, log))
	}
	return append(out, tcpProxy(c, log))
}

func httpFilter(name string, config proto.Message) *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: Any(config)}}
}

func networkFilter(name string, config proto.Message) *listenerv3.Filter {
	return &listenerv3.Filter{Name: name, ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: Any(config)}}
}

// Any packs a message with its bytes in a fixed order, so that equal meaning is an equal resource version.
func Any(m proto.Message) *anypb.Any {
	a := &anypb.Any{}
	// Encoding fails only for a message with invalid UTF-8 or a missing proto2 field; what reaches here came out of
	// Kubernetes objects, whose strings the API server has checked. An empty Any is refused by Envoy, never obeyed.
	_ = anypb.MarshalFrom(a, m, proto.MarshalOptions{Deterministic: true})
	return a
}
