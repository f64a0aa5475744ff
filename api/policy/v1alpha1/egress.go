package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"openservicemesh.io/osm/api/status"
)

// Egress lets some service accounts call some destinations outside the mesh.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:resource:path=egresses,singular=egress,shortName=egress,scope=Namespaced
// +kubebuilder:printcolumn:name=Age,type=date,JSONPath=`.metadata.creationTimestamp`
type Egress struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the policy.
	// +optional
	Spec EgressSpec `json:"spec,omitzero"`

	// status is written by the control plane.
	// +optional
	Status status.Status `json:"status,omitzero"`
}

// EgressList is a list of Egress.
//
// +kubebuilder:object:root=true
type EgressList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Egress `json:"items"`
}

// KindServiceAccount is the only kind that EgressSource and RetrySource know.
const KindServiceAccount = "ServiceAccount"

// EgressSpec says who may call what.
type EgressSpec struct {
	// sources are the callers.
	Sources []EgressSource `json:"sources"`

	// hosts are the names that may be called: the Host header for http, the TLS
	// server name for https. For https, none means any.
	// +kubebuilder:validation:MaxItems=65536
	// +kubebuilder:validation:XValidation:rule="!self.exists(h, h in ['localhost', '127.0.0.1', '::1', '[::1]', '0.0.0.0', '169.254.169.254', 'metadata.google.internal'])",messageExpression=`'"' + self.filter(h, h in ['localhost', '127.0.0.1', '::1', '[::1]', '0.0.0.0', '169.254.169.254', 'metadata.google.internal'])[0] + '" names the pod or its node and is refused; an Egress is for hosts outside of the cluster'`,message="a host names the pod or its node and is refused; an Egress is for hosts outside of the cluster"
	// +optional
	Hosts []string `json:"hosts,omitempty"`

	// ipAddresses are the CIDRs that may be called, for tcp, tcp-server-first
	// and https. None means any.
	// +kubebuilder:validation:items:Pattern=`^(([0-9]{1,3}\.){3}[0-9]{1,3}/[0-9]{1,2}|[0-9A-Fa-f.:]*:[0-9A-Fa-f.:]*/[0-9]{1,3})$`
	// +optional
	IPAddresses []string `json:"ipAddresses,omitempty"`

	// ports are the ports that may be called.
	Ports []EgressPort `json:"ports"`

	// matches are objects that say more: an HTTPRouteGroup
	// (specs.smi-spec.io/v1alpha4) limits the requests, an
	// UpstreamTrafficSetting (policy.openservicemesh.io/v1alpha1) sets limits
	// of the connections. In the same namespace.
	// +kubebuilder:validation:MaxItems=1024
	// +kubebuilder:validation:items:XValidation:rule="self.apiGroup in ['specs.smi-spec.io/v1alpha4', 'policy.openservicemesh.io/v1alpha1']",messageExpression=`"Expected 'matches.apiGroup' to be one of [specs.smi-spec.io/v1alpha4 policy.openservicemesh.io/v1alpha1], got: " + self.apiGroup`,message="Expected 'matches.apiGroup' to be one of [specs.smi-spec.io/v1alpha4 policy.openservicemesh.io/v1alpha1]"
	// +kubebuilder:validation:items:XValidation:rule="self.apiGroup != 'specs.smi-spec.io/v1alpha4' || self.kind == 'HTTPRouteGroup'",messageExpression=`"Expected 'matches.kind' for match '" + self.name + "' to be 'HTTPRouteGroup', got: " + self.kind`,message="Expected 'matches.kind' to be 'HTTPRouteGroup' for matches of specs.smi-spec.io/v1alpha4"
	// +kubebuilder:validation:items:XValidation:rule="self.apiGroup != 'policy.openservicemesh.io/v1alpha1' || self.kind == 'UpstreamTrafficSetting'",messageExpression=`"Expected 'matches.kind' for match '" + self.name + "' to be 'UpstreamTrafficSetting', got: " + self.kind`,message="Expected 'matches.kind' to be 'UpstreamTrafficSetting' for matches of policy.openservicemesh.io/v1alpha1"
	// +kubebuilder:validation:XValidation:rule="self.filter(m, m.apiGroup == 'policy.openservicemesh.io/v1alpha1' && m.kind == 'UpstreamTrafficSetting').size() <= 1",message="Cannot have more than 1 UpstreamTrafficSetting match"
	// +optional
	Matches []Reference `json:"matches,omitempty"`
}

// EgressSource is a caller.
type EgressSource struct {
	// kind is ServiceAccount.
	// +kubebuilder:validation:Enum=ServiceAccount
	Kind string `json:"kind"`

	// name is the service account's name.
	Name string `json:"name"`

	// namespace is the service account's namespace.
	Namespace string `json:"namespace"`
}

// EgressPort is a port and what is spoken there.
type EgressPort struct {
	// number is the destination port.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Number int `json:"number"`

	// protocol is http, https, tcp or tcp-server-first, in any case.
	// +kubebuilder:validation:Pattern=`^([Hh][Tt][Tt][Pp][Ss]?|[Tt][Cc][Pp](-[Ss][Ee][Rr][Vv][Ee][Rr]-[Ff][Ii][Rr][Ss][Tt])?)$`
	Protocol string `json:"protocol"`
}
