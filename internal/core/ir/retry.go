package ir

import "time"

// Duration is a span of time that prints as Go spells it, for example "1m0s".
type Duration time.Duration

// MarshalText makes JSON and YAML show the text.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// Retry says when a request is sent again, up to Count times after the first.
type Retry struct {
	// On are Envoy's words, comma-separated.
	On    string `json:"on"`
	Count uint32 `json:"count"`
	// PerTry is how long one try may take; 0 is no limit.
	PerTry Duration `json:"perTry,omitempty"`
	// Backoff is the wait before the first retry, which grows up to ten times that; 0 is Envoy's own.
	Backoff Duration `json:"backoff,omitempty"`
}
