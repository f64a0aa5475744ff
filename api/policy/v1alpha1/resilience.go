package v1alpha1

// OutlierDetectionSpec says when a client's proxy leaves a pod out for a while.
type OutlierDetectionSpec struct {
	// consecutiveErrors is after how many errors in a row, answers of 500 and
	// above and failed connections, a pod is left out. Absent: 5.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4294967295
	// +optional
	ConsecutiveErrors *int64 `json:"consecutiveErrors,omitempty"`

	// interval is how often it is looked at whether pods may come back.
	// Absent: 10s.
	// +optional
	Interval Duration `json:"interval,omitempty"`

	// baseEjectionTime is how long a pod is left out the first time; each time
	// after that it is longer by as much. Absent: 30s.
	// +optional
	BaseEjectionTime Duration `json:"baseEjectionTime,omitempty"`

	// maxEjectionPercent is the share of the pods that may be left out at a
	// time; one may be in any case. Absent: 10.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	// +optional
	MaxEjectionPercent *int64 `json:"maxEjectionPercent,omitempty"`
}

// MirrorSpec names a service that gets copies of requests.
type MirrorSpec struct {
	// service is the name of a Service in the object's own namespace. It has a
	// port of the same number as the one that is called.
	// +kubebuilder:validation:MinLength=1
	Service string `json:"service"`

	// percent is the share of the requests that are copied. Absent: 100.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	// +optional
	Percent *int64 `json:"percent,omitempty"`
}

// FaultInjectionSpec are faults made on purpose, to try how callers bear them.
//
// +kubebuilder:validation:MinProperties=1
type FaultInjectionSpec struct {
	// delay holds requests up before they reach the application.
	// +optional
	Delay *FaultDelaySpec `json:"delay,omitempty"`

	// abort answers requests instead of the application.
	// +optional
	Abort *FaultAbortSpec `json:"abort,omitempty"`
}

// FaultDelaySpec holds requests up.
type FaultDelaySpec struct {
	// duration is for how long, 1ms to 1h.
	Duration Duration `json:"duration"`

	// percent is the share of the requests. Absent: 100.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	// +optional
	Percent *int64 `json:"percent,omitempty"`
}

// FaultAbortSpec answers requests.
type FaultAbortSpec struct {
	// responseStatusCode is the answer's code, 400 to 599.
	// +kubebuilder:validation:Minimum=400
	// +kubebuilder:validation:Maximum=599
	ResponseStatusCode int `json:"responseStatusCode"`

	// percent is the share of the requests. Absent: 100.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	// +optional
	Percent *int64 `json:"percent,omitempty"`
}
