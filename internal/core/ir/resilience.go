package ir

// Outliers say when an address of a cluster is left out for a while.
type Outliers struct {
	// Consecutive is how many errors in a row it takes.
	Consecutive uint32 `json:"consecutive"`
	// Interval is between looks at whom to take back, Ejection the first time out.
	Interval Duration `json:"interval"`
	Ejection Duration `json:"ejection"`
	// MaxPercent of the addresses are out at a time, or one.
	MaxPercent uint32 `json:"maxPercent"`
}

// Mirror copies requests to a cluster whose answers nobody waits for.
type Mirror struct {
	Cluster string `json:"cluster"`
	// Percent of the requests are copied.
	Percent uint32 `json:"percent"`
}

// Fault holds up or answers requests on purpose.
type Fault struct {
	Delay        Duration `json:"delay,omitempty"`
	DelayPercent uint32   `json:"delayPercent,omitempty"`
	// Abort is a status code; 0 is none.
	Abort        uint32 `json:"abort,omitempty"`
	AbortPercent uint32 `json:"abortPercent,omitempty"`
}

// Tracing sends a Zipkin span for every request.
type Tracing struct {
	Cluster string `json:"cluster"`
	// Host is the collector's name or address, Path where it takes spans.
	Host string `json:"host"`
	Path string `json:"path"`
}
