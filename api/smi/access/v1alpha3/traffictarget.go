package v1alpha3

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"openservicemesh.io/osm/api/status"
)

// TrafficTarget lets some service accounts call another one's workloads. It
// lives in the namespace of its destination.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:resource:path=traffictargets,singular=traffictarget,shortName=tt,scope=Namespaced
// +kubebuilder:printcolumn:name=Age,type=date,JSONPath=`.metadata.creationTimestamp`
type TrafficTarget struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the policy.
	// +optional
	Spec TrafficTargetSpec `json:"spec,omitzero"`

	// status is written by the control plane.
	// +optional
	Status status.Status `json:"status,omitzero"`
}

// TrafficTargetList is a list of TrafficTarget.
//
// +kubebuilder:object:root=true
type TrafficTargetList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []TrafficTarget `json:"items"`
}

// KindServiceAccount is the only kind of subject that has an effect.
const KindServiceAccount = "ServiceAccount"

// Kinds that a TrafficTargetRule may name.
const (
	KindHTTPRouteGroup = "HTTPRouteGroup"
	KindTCPRoute       = "TCPRoute"
	// KindUDPRoute is accepted and has no effect.
	KindUDPRoute = "UDPRoute"
)

// TrafficTargetSpec says who may call whom, and how.
type TrafficTargetSpec struct {
	// destination is who is called.
	Destination IdentityBindingSubject `json:"destination"`

	// rules are the routes that may be called; none allows nothing.
	Rules []TrafficTargetRule `json:"rules"`

	// sources are the callers.
	Sources []IdentityBindingSubject `json:"sources"`
}

// IdentityBindingSubject is a service account.
type IdentityBindingSubject struct {
	// kind is ServiceAccount; other kinds have no effect.
	Kind string `json:"kind"`

	// name is the service account's name.
	Name string `json:"name"`

	// namespace is the service account's namespace.
	// +optional
	Namespace string `json:"namespace,omitempty"`
}

// TrafficTargetRule names routes.
type TrafficTargetRule struct {
	// kind is HTTPRouteGroup, TCPRoute or UDPRoute; the last has no effect.
	// +kubebuilder:validation:Enum=HTTPRouteGroup;TCPRoute;UDPRoute
	Kind string `json:"kind"`

	// name is the name of the object, in the same namespace.
	Name string `json:"name"`

	// matches are names of matches of an HTTPRouteGroup; only those named are
	// allowed.
	// +optional
	Matches []string `json:"matches,omitempty"`
}
