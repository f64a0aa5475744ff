package figure

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// highest is the last quantile of one of Envoy's histograms, over its whole life: P100(INTERVAL,LIFE).
var highest = regexp.MustCompile(`server\.initialization_time_ms: .*P100\([^,]*,([0-9.]+)\)`)

// Initialization reads, from what Envoy answers to stats?filter=server.initialization_time_ms, the time from its start until every
// initial resource had arrived. Envoy merges its histograms every five seconds: before, it is an error.
func Initialization(stats string) (time.Duration, error) {
	found := highest.FindStringSubmatch(stats)
	if found == nil {
		return 0, fmt.Errorf("no initialization time in %q", stats)
	}
	ms, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		return 0, fmt.Errorf("initialization time: %w", err)
	}
	return time.Duration(ms * float64(time.Millisecond)), nil
}
