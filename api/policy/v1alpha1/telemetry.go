package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"openservicemesh.io/osm/api/status"
)

// Telemetry sets the access logs of some proxies. The one whose selector
// matches a pod wins over the one for its whole namespace, and that one over
// the one in the control plane's namespace, which is for the whole mesh.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:resource:path=telemetries,singular=telemetry,shortName=telemetry,scope=Namespaced
// +kubebuilder:printcolumn:name=Status,type=string,JSONPath=`.status.currentStatus`,description="Whether the policy is in force"
// +kubebuilder:printcolumn:name=Age,type=date,JSONPath=`.metadata.creationTimestamp`
type Telemetry struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the policy.
	// +optional
	Spec TelemetrySpec `json:"spec"`

	// status is written by the control plane.
	// +optional
	Status status.Summary `json:"status,omitzero"`
}

// TelemetryList is a list of Telemetry.
//
// +kubebuilder:object:root=true
type TelemetryList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Telemetry `json:"items"`
}

// TelemetrySpec says which pods log what.
type TelemetrySpec struct {
	// selector are the labels of the pods, in the same namespace. Absent: all
	// pods of the namespace.
	// +optional
	Selector map[string]string `json:"selector,omitempty"`

	// accessLog sets the access log. Absent: the policy changes nothing.
	// +optional
	AccessLog *AccessLogSpec `json:"accessLog,omitempty"`
}

// AccessLogSpec sets the access log of a proxy.
type AccessLogSpec struct {
	// format is the line that is logged, in the proxy's format language; JSON
	// when it is a JSON object. Absent: the mesh's own.
	// +kubebuilder:validation:MinLength=1
	// +optional
	Format string `json:"format,omitempty"`

	// openTelemetry also sends the log to an OpenTelemetry collector, over
	// gRPC without TLS.
	// +optional
	OpenTelemetry *OpenTelemetrySpec `json:"openTelemetry,omitempty"`
}

// OpenTelemetrySpec is where and with which attributes access logs are sent.
type OpenTelemetrySpec struct {
	// extensionService names the ExtensionService of the collector.
	ExtensionService ExtensionServiceRef `json:"extensionService"`

	// attributes are added to every record.
	// +optional
	Attributes map[string]string `json:"attributes,omitempty"`
}

// ExtensionServiceRef names an ExtensionService.
type ExtensionServiceRef struct {
	// name is the ExtensionService's name.
	// +kubebuilder:validation:MinLength=1
	Name string `json:"name"`

	// namespace is the ExtensionService's namespace.
	// +kubebuilder:validation:MinLength=1
	Namespace string `json:"namespace"`
}
