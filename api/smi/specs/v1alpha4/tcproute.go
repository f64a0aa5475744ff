package v1alpha4

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"openservicemesh.io/osm/api/status"
)

// TCPRoute describes TCP connections by port. TrafficTargets refer to it; by
// itself it has no effect.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:resource:path=tcproutes,singular=tcproute,shortName=tr,scope=Namespaced
// +kubebuilder:printcolumn:name=Age,type=date,JSONPath=`.metadata.creationTimestamp`
type TCPRoute struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the route.
	// +optional
	Spec TCPRouteSpec `json:"spec,omitzero"`

	// status is written by the control plane.
	// +optional
	Status status.Status `json:"status,omitzero"`
}

// TCPRouteList is a list of TCPRoute.
//
// +kubebuilder:object:root=true
type TCPRouteList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []TCPRoute `json:"items"`
}

// TCPRouteSpec is a route.
type TCPRouteSpec struct {
	// matches are the connections.
	Matches TCPMatch `json:"matches"`
}

// TCPMatch is a set of connections.
type TCPMatch struct {
	// name is a name for the reader.
	// +optional
	Name string `json:"name,omitempty"`

	// ports are target ports of the destination.
	// +kubebuilder:validation:items:Minimum=1
	// +kubebuilder:validation:items:Maximum=65535
	Ports []int `json:"ports"`
}
