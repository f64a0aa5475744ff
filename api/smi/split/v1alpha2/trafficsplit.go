package v1alpha2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"openservicemesh.io/osm/api/status"
)

// TrafficSplit spreads what is sent to one service over several, by weight.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:resource:path=trafficsplits,singular=trafficsplit,shortName=ts,scope=Namespaced
// +kubebuilder:printcolumn:name=Service,type=string,JSONPath=`.spec.service`,description="The root service of this split"
// +kubebuilder:printcolumn:name=Age,type=date,JSONPath=`.metadata.creationTimestamp`
type TrafficSplit struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the split.
	// +optional
	Spec TrafficSplitSpec `json:"spec,omitzero"`

	// status is written by the control plane.
	// +optional
	Status status.Status `json:"status,omitzero"`
}

// TrafficSplitList is a list of TrafficSplit.
//
// +kubebuilder:object:root=true
type TrafficSplitList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []TrafficSplit `json:"items"`
}

// TrafficSplitSpec is a split.
type TrafficSplitSpec struct {
	// service is the service that clients address: its name, alone or followed
	// by the namespace, up to the fully qualified name. In the same namespace.
	Service string `json:"service"`

	// backends are the services that answer.
	// +kubebuilder:validation:XValidation:rule="self.exists(b, b.weight > 0)",message="the weights of spec.backends must sum to 1 or more"
	Backends []TrafficSplitBackend `json:"backends"`

	// matches are HTTPRouteGroups of the same namespace, as of v1alpha3. With
	// any, only requests that one of their matches fits are split; the others
	// go to the service itself.
	// +optional
	Matches []TrafficSplitMatch `json:"matches,omitempty"`
}

// TrafficSplitMatch names a group of matches.
type TrafficSplitMatch struct {
	// apiGroup is not looked at.
	// +optional
	APIGroup string `json:"apiGroup,omitempty"`

	// kind of the object.
	// +kubebuilder:validation:Enum=HTTPRouteGroup
	Kind string `json:"kind"`

	// name of the object.
	Name string `json:"name"`
}

// TrafficSplitBackend is a service that answers, and its share.
type TrafficSplitBackend struct {
	// service is the name of a Service in the same namespace.
	Service string `json:"service"`

	// weight is the share, relative to the sum of all weights, which has to be
	// 1 or more.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=2147483647
	Weight int `json:"weight"`
}
