package figure

import (
	"fmt"
	"os"
	"time"
)

// slack is how many times its bar a figure may take before a suite fails. A time measured on a machine that others use
// too says little; one that is four times its bar says that something hangs.
const slack = 4

// Strict is the environment variable that, set to "strict", makes every bar itself the limit.
const Strict = "OSM_BARS"

// Bar is what a figure is held against.
type Bar struct {
	// What is measured, as a sentence begins: "ready".
	What  string
	Limit time.Duration
}

// Judge returns the figure beside its bar, in words, and an error when it is over the limit in force.
func (b Bar) Judge(got time.Duration) (string, error) {
	words := fmt.Sprintf("%s after %s (bar: %s)", b.What, round(got), b.Limit)
	if got <= b.Limit {
		return words, nil
	}
	words = fmt.Sprintf("%s after %s: OVER THE BAR of %s", b.What, round(got), b.Limit)
	limit := slack * b.Limit
	if os.Getenv(Strict) == "strict" {
		limit = b.Limit
	}
	if got > limit {
		return words, fmt.Errorf("%s; the limit in force is %s", words, limit)
	}
	return words, nil
}

func round(d time.Duration) time.Duration {
	if d >= 10*time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Millisecond)
}
