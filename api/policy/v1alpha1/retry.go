package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"openservicemesh.io/osm/api/status"
)

// Retry makes a service account's proxies retry failed requests to some
// services, unless the feature flag enableRetryPolicy of the MeshConfig is
// false.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:resource:path=retries,singular=retry,shortName=retry,scope=Namespaced
// +kubebuilder:printcolumn:name=Age,type=date,JSONPath=`.metadata.creationTimestamp`
type Retry struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the policy.
	// +optional
	Spec RetrySpec `json:"spec,omitzero"`

	// status is written by the control plane.
	// +optional
	Status status.Status `json:"status,omitzero"`
}

// RetryList is a list of Retry.
//
// +kubebuilder:object:root=true
type RetryList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Retry `json:"items"`
}

// KindService is the only kind that RetryDestination knows.
const KindService = "Service"

// RetrySpec says who retries what.
type RetrySpec struct {
	// source is the caller.
	Source RetrySource `json:"source"`

	// destinations are the services called.
	Destinations []RetryDestination `json:"destinations"`

	// retryPolicy is when and how often.
	RetryPolicy RetryPolicySpec `json:"retryPolicy"`
}

// RetrySource is the caller that retries.
type RetrySource struct {
	// kind is ServiceAccount.
	// +kubebuilder:validation:Enum=ServiceAccount
	Kind string `json:"kind"`

	// name is the service account's name.
	Name string `json:"name"`

	// namespace is the service account's namespace.
	Namespace string `json:"namespace"`
}

// RetryDestination is a service called.
type RetryDestination struct {
	// kind is Service.
	// +kubebuilder:validation:Enum=Service
	Kind string `json:"kind"`

	// name is the Service's name.
	Name string `json:"name"`

	// namespace is the Service's namespace.
	Namespace string `json:"namespace"`
}

// RetryPolicySpec is when and how often a request is retried.
type RetryPolicySpec struct {
	// retryOn are the conditions, comma-separated, as the proxy names them:
	// e.g. 5xx,reset.
	RetryOn string `json:"retryOn"`

	// perTryTimeout is how long one try may take.
	PerTryTimeout Duration `json:"perTryTimeout"`

	// numRetries is how many tries follow the first.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4294967295
	NumRetries int64 `json:"numRetries"`

	// retryBackoffBaseInterval is the wait before the first retry; it grows
	// with each, up to ten times as long.
	RetryBackoffBaseInterval Duration `json:"retryBackoffBaseInterval"`
}
