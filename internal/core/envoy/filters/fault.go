package filters

import (
	commonfaultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/fault/v3"
	faultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"openservicemesh.io/osm/internal/core/ir"
)

// NameFault is the filter that makes faults on purpose.
const NameFault = "envoy.filters.http.fault"

// faults does nothing by itself; virtual hosts and routes carry what it does. Requests cannot ask for faults.
func faults() *hcmv3.HttpFilter { return httpFilter(NameFault, &faultv3.HTTPFault{}) }

// Fault is the configuration of the fault filter for one virtual host or route.
func Fault(f ir.Fault) *anypb.Any {
	m := &faultv3.HTTPFault{}
	if f.Delay > 0 {
		m.Delay = &commonfaultv3.FaultDelay{
			FaultDelaySecifier: &commonfaultv3.FaultDelay_FixedDelay{FixedDelay: duration(f.Delay)}, Percentage: Percent(f.DelayPercent)}
	}
	if f.Abort != 0 {
		m.Abort = &faultv3.FaultAbort{
			ErrorType: &faultv3.FaultAbort_HttpStatus{HttpStatus: f.Abort}, Percentage: Percent(f.AbortPercent)}
	}
	return Any(m)
}

// Percent is a share of requests.
func Percent(n uint32) *typev3.FractionalPercent {
	return &typev3.FractionalPercent{Numerator: n, Denominator: typev3.FractionalPercent_HUNDRED}
}
