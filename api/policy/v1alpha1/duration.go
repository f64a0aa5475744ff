package v1alpha1

import (
	"fmt"
	"time"
)

// Duration is a span of time as Go spells it: decimal numbers, each with a
// unit, such as 300ms, 5s or 1m30s. Units are ns, us, ms, s, m and h.
//
// It stays text until it is used: a value too large to be parsed must make its
// own object invalid, not the list it comes in.
//
// +kubebuilder:validation:Pattern=`^([-+]?0|[-+]?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$`
type Duration string

// Parse returns the duration; empty is 0. The error names the value and an
// example of a good one; negative durations are errors.
func (d Duration) Parse() (time.Duration, error) {
	if d == "" {
		return 0, nil
	}
	v, err := time.ParseDuration(string(d))
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration; write a number with a unit, such as 5s or 300ms", string(d))
	}
	if v < 0 {
		return 0, fmt.Errorf("%q is negative; write a duration of 0s or more", string(d))
	}
	return v, nil
}
