package ir

import "time"

// Limits are what a proxy keeps to when it sends to one cluster; each proxy counts for itself. A nil field is no limit,
// a ConnectTimeout of 0 is Envoy's own.
type Limits struct {
	// MaxConnections and MaxPendingRequests are counts at one time, MaxRequests and MaxRetries likewise.
	MaxConnections     *uint32 `json:"maxConnections,omitempty"`
	MaxPendingRequests *uint32 `json:"maxPendingRequests,omitempty"`
	MaxRequests        *uint32 `json:"maxRequests,omitempty"`
	MaxRetries         *uint32 `json:"maxRetries,omitempty"`
	// MaxRequestsPerConnection closes a connection after so many requests.
	MaxRequestsPerConnection *uint32 `json:"maxRequestsPerConnection,omitempty"`
	// ConnectTimeout is in nanoseconds when encoded.
	ConnectTimeout time.Duration `json:"connectTimeout,omitempty"`
	// RequestTimeout and IdleTimeout are for routes to the cluster, ConnectionIdle is for chains of bytes to it; 0 is none,
	// or Envoy's own.
	RequestTimeout Duration `json:"requestTimeout,omitempty"`
	IdleTimeout    Duration `json:"idleTimeout,omitempty"`
	ConnectionIdle Duration `json:"connectionIdle,omitempty"`
	// Outliers are left out for a while.
	Outliers *Outliers `json:"outliers,omitempty"`
}
