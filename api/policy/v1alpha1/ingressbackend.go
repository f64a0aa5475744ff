package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"openservicemesh.io/osm/api/status"
)

// IngressBackend lets callers outside the mesh, such as an ingress controller,
// reach services of the mesh.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:resource:path=ingressbackends,singular=ingressbackend,shortName=ingressbackend,scope=Namespaced
// +kubebuilder:printcolumn:name=Status,type=string,JSONPath=`.status.currentStatus`,description="Whether the policy is in force"
// +kubebuilder:printcolumn:name=Age,type=date,JSONPath=`.metadata.creationTimestamp`
type IngressBackend struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the policy.
	// +optional
	Spec IngressBackendSpec `json:"spec,omitzero"`

	// status is written by the control plane. Reasons are `successfully
	// committed by the system` and `endpoints not found for service
	// <namespace>/<name>`.
	// +optional
	Status status.Summary `json:"status,omitzero"`
}

// IngressBackendList is a list of IngressBackend.
//
// +kubebuilder:object:root=true
type IngressBackendList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []IngressBackend `json:"items"`
}

// Kinds of IngressSource.
const (
	// SourceKindService takes the endpoints of a Service as callers.
	SourceKindService = "Service"
	// SourceKindAuthenticatedPrincipal takes the holder of a client certificate
	// with this DNS name as caller; https only.
	SourceKindAuthenticatedPrincipal = "AuthenticatedPrincipal"
	// SourceKindIPRange takes the addresses of a CIDR as callers.
	SourceKindIPRange = "IPRange"
)

// IngressBackendSpec says which services may be reached by whom. Protocols and
// kinds of sources are checked at admission, by the control plane.
type IngressBackendSpec struct {
	// backends are the services.
	// +kubebuilder:validation:MaxItems=1024
	Backends []IngressBackendService `json:"backends"`

	// sources are the callers; none means everyone.
	// +kubebuilder:validation:MaxItems=4096
	Sources []IngressSource `json:"sources"`

	// matches has no effect; kept for old manifests.
	// +optional
	Matches []Reference `json:"matches,omitempty"`
}

// IngressBackendService is a service that may be reached from outside.
type IngressBackendService struct {
	// name is the name of a Service in the same namespace.
	Name string `json:"name"`

	// port is the port of the pods.
	Port IngressPort `json:"port"`

	// tls sets how https is terminated.
	// +optional
	TLS *IngressTLS `json:"tls,omitempty"`
}

// IngressPort is a port of the pods and what is spoken there.
type IngressPort struct {
	// number is the target port of the Service, not its port.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Number int `json:"number"`

	// protocol is http or https, in any case.
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.lowerAscii() in ['http', 'https']",messageExpression=`"Expected 'port.protocol' to be 'http' or 'https', got: " + self`,message="Expected 'port.protocol' to be 'http' or 'https'"
	Protocol string `json:"protocol"`
}

// IngressTLS sets how https is terminated at the proxy.
type IngressTLS struct {
	// skipClientCertValidation takes callers without a client certificate.
	SkipClientCertValidation bool `json:"skipClientCertValidation"`

	// sniHosts are the TLS server names that are taken; none means any.
	// +optional
	SNIHosts []string `json:"sniHosts,omitempty"`
}

// IngressSource is a caller outside the mesh.
//
// +kubebuilder:validation:XValidation:rule="self.kind in ['Service', 'AuthenticatedPrincipal', 'IPRange']",message="Invalid 'source.kind' value specified. Must be one of: Service, AuthenticatedPrincipal, IPRange"
// +kubebuilder:validation:XValidation:rule="size(self.name) > 0 || self.kind == 'IPRange'",messageExpression=`"'source.name' not specified for source kind " + self.kind`,message="'source.name' not specified"
// +kubebuilder:validation:XValidation:rule="self.kind != 'Service' || has(self.__namespace__) && size(self.__namespace__) > 0",message="'source.namespace' not specified for source kind Service"
// +kubebuilder:validation:XValidation:rule="self.kind != 'IPRange' || self.name.contains('/')",messageExpression=`"Invalid 'source.name' value specified for IPRange. Expected CIDR notation 'a.b.c.d/x', got '" + self.name + "'"`,message="Invalid 'source.name' value specified for IPRange. Expected CIDR notation 'a.b.c.d/x'"
type IngressSource struct {
	// kind is Service, AuthenticatedPrincipal or IPRange.
	// +kubebuilder:validation:MaxLength=1024
	Kind string `json:"kind"`

	// name is the Service's name, the principal's DNS name or the CIDR.
	// +kubebuilder:validation:MaxLength=1024
	Name string `json:"name"`

	// namespace is the Service's namespace; unused with the other kinds.
	// +optional
	Namespace string `json:"namespace,omitempty"`
}
