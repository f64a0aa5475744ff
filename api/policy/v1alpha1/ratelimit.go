package v1alpha1

// RateLimitUnit is the period that a rate counts in.
//
// +kubebuilder:validation:Enum=second;minute;hour
type RateLimitUnit string

// Periods that a rate counts in.
const (
	RateLimitUnitSecond RateLimitUnit = "second"
	RateLimitUnitMinute RateLimitUnit = "minute"
	RateLimitUnitHour   RateLimitUnit = "hour"
)

// RateLimitSpec are limits that a host's own proxies keep.
type RateLimitSpec struct {
	// local limits are counted by each proxy for itself.
	// +optional
	Local *LocalRateLimitSpec `json:"local,omitempty"`

	// global limits are counted by a rate limit service.
	// +optional
	Global *GlobalRateLimitSpec `json:"global,omitempty"`
}

// LocalRateLimitSpec are limits that each proxy counts for itself.
type LocalRateLimitSpec struct {
	// tcp limits connections.
	// +optional
	TCP *TCPLocalRateLimitSpec `json:"tcp,omitempty"`

	// http limits requests.
	// +optional
	HTTP *HTTPLocalRateLimitSpec `json:"http,omitempty"`
}

// TCPLocalRateLimitSpec limits connections per unit of time. Those over the
// limit are closed.
type TCPLocalRateLimitSpec struct {
	// connections is the number of connections per unit.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4294967295
	// +optional
	Connections int64 `json:"connections,omitempty"`

	// unit is the period that connections counts in.
	// +optional
	Unit RateLimitUnit `json:"unit,omitempty"`

	// burst is the number of connections above the rate that are taken in a
	// short time.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4294967295
	// +optional
	Burst int64 `json:"burst,omitempty"`
}

// HTTPLocalRateLimitSpec limits requests per unit of time.
type HTTPLocalRateLimitSpec struct {
	// requests is the number of requests per unit.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4294967295
	// +optional
	Requests int64 `json:"requests,omitempty"`

	// unit is the period that requests counts in.
	// +optional
	Unit RateLimitUnit `json:"unit,omitempty"`

	// burst is the number of requests above the rate that are taken in a short
	// time.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4294967295
	// +optional
	Burst int64 `json:"burst,omitempty"`

	// responseStatusCode answers requests over the limit. Absent: 429.
	// +kubebuilder:validation:Minimum=400
	// +kubebuilder:validation:Maximum=599
	// +optional
	ResponseStatusCode int `json:"responseStatusCode,omitempty"`

	// responseHeadersToAdd are added to answers to requests over the limit.
	// +optional
	ResponseHeadersToAdd []HTTPHeaderValue `json:"responseHeadersToAdd,omitempty"`
}

// HTTPHeaderValue is a header and its value.
type HTTPHeaderValue struct {
	// name is the header's name.
	// +kubebuilder:validation:MinLength=1
	Name string `json:"name"`

	// value is the header's value.
	// +kubebuilder:validation:MinLength=1
	Value string `json:"value"`
}

// HTTPRouteSpec are settings for one path.
type HTTPRouteSpec struct {
	// path is the path regex of a route, letter for letter as in the
	// HTTPRouteGroup; `.*` in permissive mode.
	// +kubebuilder:validation:MinLength=1
	// +optional
	Path string `json:"path,omitempty"`

	// rateLimit are limits for the path.
	// +optional
	RateLimit *HTTPPerRouteRateLimitSpec `json:"rateLimit,omitempty"`

	// timeout is connectionSettings.http.requestTimeout for the path; 0s is as
	// long as it takes.
	// +optional
	Timeout Duration `json:"timeout,omitempty"`

	// idleTimeout is connectionSettings.http.idleTimeout for the path.
	// +optional
	IdleTimeout Duration `json:"idleTimeout,omitempty"`

	// faultInjection are the faults of the path, in place of the host's.
	// +optional
	FaultInjection *FaultInjectionSpec `json:"faultInjection,omitempty"`
}

// HTTPPerRouteRateLimitSpec are limits for one path.
type HTTPPerRouteRateLimitSpec struct {
	// local limits are counted by each proxy for itself.
	// +optional
	Local *HTTPLocalRateLimitSpec `json:"local,omitempty"`

	// global limits are counted by the host's rate limit service.
	// +optional
	Global *HTTPPerRouteGlobalRateLimitSpec `json:"global,omitempty"`
}

// HTTPPerRouteGlobalRateLimitSpec are the descriptors of one path.
type HTTPPerRouteGlobalRateLimitSpec struct {
	// descriptors are sent to the rate limit service for each request.
	// +optional
	Descriptors []HTTPGlobalRateLimitDescriptor `json:"descriptors,omitempty"`
}
