package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/api/status"
)

// MeshConfig holds the settings of one mesh. Only the object named
// `osm-mesh-config` in the control plane's namespace has an effect. Deprecated:
// use config.openservicemesh.io/v1alpha2.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:deprecatedversion:warning="config.openservicemesh.io/v1alpha1 MeshConfig is deprecated; use config.openservicemesh.io/v1alpha2 MeshConfig"
// +kubebuilder:resource:path=meshconfigs,singular=meshconfig,shortName=meshconfig,scope=Namespaced
// +kubebuilder:printcolumn:name=Age,type=date,JSONPath=`.metadata.creationTimestamp`
type MeshConfig struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the wanted configuration.
	// +optional
	Spec MeshConfigSpec `json:"spec"`

	// status is written by the control plane.
	// +optional
	Status status.Status `json:"status,omitzero"`
}

// MeshConfigList is a list of MeshConfig.
//
// +kubebuilder:object:root=true
type MeshConfigList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []MeshConfig `json:"items"`
}

// MeshConfigSpec is the configuration of one mesh. The structs that did not
// change are those of v1alpha2.
type MeshConfigSpec struct {
	// sidecar configures the proxies.
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	Sidecar SidecarSpec `json:"sidecar"`

	// traffic configures what is redirected and what may talk to what.
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	Traffic TrafficSpec `json:"traffic"`

	// observability configures logs, the debug server and tracing.
	// +optional
	Observability v1alpha2.ObservabilitySpec `json:"observability"`

	// certificate configures the certificates the mesh issues.
	// +optional
	Certificate v1alpha2.CertificateSpec `json:"certificate,omitzero"`

	// featureFlags switches features on and off.
	// +optional
	FeatureFlags v1alpha2.FeatureFlags `json:"featureFlags"`
}

// SidecarSpec configures the proxies.
type SidecarSpec struct {
	// enablePrivilegedInitContainer makes the init container privileged. Read
	// at admission.
	// +optional
	EnablePrivilegedInitContainer bool `json:"enablePrivilegedInitContainer"`

	// logLevel is the proxy's log level. Quote `off`: YAML reads it as a
	// boolean otherwise. Read at admission.
	// +optional
	LogLevel v1alpha2.LogLevel `json:"logLevel,omitempty"`

	// envoyImage replaces the proxy's image. Read at admission.
	// +optional
	EnvoyImage string `json:"envoyImage,omitempty"`

	// envoyWindowsImage replaces the proxy's image on Windows nodes. Read at
	// admission.
	// +optional
	EnvoyWindowsImage string `json:"envoyWindowsImage,omitempty"`

	// initContainerImage replaces the init container's image. Read at
	// admission.
	// +optional
	InitContainerImage string `json:"initContainerImage,omitempty"`

	// maxDataPlaneConnections is the number of proxies that may be connected to
	// the control plane; 0 is no limit.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=2147483647
	// +optional
	MaxDataPlaneConnections int `json:"maxDataPlaneConnections"`

	// configResyncInterval is how often all proxies are configured afresh, as a
	// Go duration. Below 30s it is ignored; 0s is never.
	// +optional
	ConfigResyncInterval string `json:"configResyncInterval,omitempty"`

	// resources are the compute resources of the proxy's container. Read at
	// admission.
	// +optional
	Resources corev1.ResourceRequirements `json:"resources"`
}

// TrafficSpec configures redirection and access.
type TrafficSpec struct {
	// enableEgress lets traffic to destinations outside the mesh pass through
	// to where it was going. Live.
	// +optional
	EnableEgress bool `json:"enableEgress"`

	// enablePermissiveTrafficPolicyMode lets every workload of the mesh call
	// every other; when false, nothing is allowed but what a TrafficTarget
	// allows. Live.
	// +optional
	EnablePermissiveTrafficPolicyMode bool `json:"enablePermissiveTrafficPolicyMode"`

	// outboundIPRangeExclusionList are CIDRs whose traffic bypasses the proxy.
	// Read at admission.
	// +kubebuilder:validation:items:Pattern=`^(([0-9]{1,3}\.){3}[0-9]{1,3}/[0-9]{1,2}|[0-9A-Fa-f.:]*:[0-9A-Fa-f.:]*/[0-9]{1,3})$`
	// +optional
	OutboundIPRangeExclusionList []string `json:"outboundIPRangeExclusionList,omitzero"`

	// outboundPortExclusionList are destination ports whose traffic bypasses
	// the proxy on the way out. Read at admission.
	// +kubebuilder:validation:items:Minimum=1
	// +kubebuilder:validation:items:Maximum=65535
	// +optional
	OutboundPortExclusionList []int `json:"outboundPortExclusionList,omitzero"`

	// inboundPortExclusionList are ports of the pod whose traffic bypasses the
	// proxy on the way in. Read at admission.
	// +kubebuilder:validation:items:Minimum=1
	// +kubebuilder:validation:items:Maximum=65535
	// +optional
	InboundPortExclusionList []int `json:"inboundPortExclusionList,omitzero"`

	// inboundExternalAuthorization asks a gRPC service about every inbound HTTP
	// request. Live.
	// +optional
	InboundExternalAuthorization v1alpha2.ExternalAuthorizationSpec `json:"inboundExternalAuthorization"`
}
