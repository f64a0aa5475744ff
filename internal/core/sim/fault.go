package sim

import (
	faultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"openservicemesh.io/osm/internal/core/envoy/filters"
)

// readAbort returns the code that every request is answered with on purpose; 0 when none is, or not every request. The
// first configuration counts.
func readAbort(configs ...map[string]*anypb.Any) (int, error) {
	for _, c := range configs {
		a := c[filters.NameFault]
		if a == nil {
			continue
		}
		m := &faultv3.HTTPFault{}
		if err := a.UnmarshalTo(m); err != nil {
			return 0, err
		}
		if m.GetAbort().GetPercentage().GetNumerator() < 100 {
			return 0, nil
		}
		return int(m.GetAbort().GetHttpStatus()), nil
	}
	return 0, nil
}
