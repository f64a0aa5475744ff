package v1alpha2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"openservicemesh.io/osm/api/status"
)

// ExtensionService is an endpoint that the proxies use for a feature of their
// own, such as the export of access logs. Telemetry objects refer to it.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:resource:path=extensionservices,singular=extensionservice,shortName=extsvc,scope=Namespaced
// +kubebuilder:printcolumn:name=Age,type=date,JSONPath=`.metadata.creationTimestamp`
type ExtensionService struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the endpoint.
	// +optional
	Spec ExtensionServiceSpec `json:"spec,omitzero"`

	// status is written by the control plane.
	// +optional
	Status status.Status `json:"status,omitzero"`
}

// ExtensionServiceList is a list of ExtensionService.
//
// +kubebuilder:object:root=true
type ExtensionServiceList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []ExtensionService `json:"items"`
}

// ExtensionServiceSpec is an endpoint.
type ExtensionServiceSpec struct {
	// host is the endpoint's host name or IP.
	// +kubebuilder:validation:MinLength=1
	Host string `json:"host"`

	// port is the endpoint's port.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int `json:"port"`

	// protocol is what the endpoint speaks, e.g. h2c.
	// +optional
	Protocol string `json:"protocol,omitempty"`

	// connectTimeout is how long connecting may take, as a Go duration. Absent:
	// the proxy's own 5s.
	// +optional
	ConnectTimeout string `json:"connectTimeout,omitempty"`
}
