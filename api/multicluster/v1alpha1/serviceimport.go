package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ServiceImport is a service that other clusters of the set export.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:resource:path=serviceimports,singular=serviceimport,shortName=svcim,scope=Namespaced
// +kubebuilder:printcolumn:name=Type,type=string,JSONPath=`.spec.type`,description="Type of the imported service"
// +kubebuilder:printcolumn:name=IP,type=string,JSONPath=`.spec.ips`,description="Addresses of the imported service"
// +kubebuilder:printcolumn:name=Age,type=date,JSONPath=`.metadata.creationTimestamp`
type ServiceImport struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the imported service.
	// +optional
	Spec ServiceImportSpec `json:"spec,omitzero"`

	// status says which clusters export it.
	// +optional
	Status ServiceImportStatus `json:"status,omitzero"`
}

// ServiceImportList is a list of ServiceImport.
//
// +kubebuilder:object:root=true
type ServiceImportList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []ServiceImport `json:"items"`
}

// ServiceImportType is how an imported service is addressed.
//
// +kubebuilder:validation:Enum=ClusterSetIP;Headless
type ServiceImportType string

// Ways to address an imported service.
const (
	ClusterSetIP ServiceImportType = "ClusterSetIP"
	Headless     ServiceImportType = "Headless"
)

// ServiceImportSpec is an imported service.
type ServiceImportSpec struct {
	// ports are the service's ports.
	// +listType=atomic
	Ports []ServicePort `json:"ports"`

	// ips are the service's addresses when type is ClusterSetIP: one, or one
	// per IP family.
	// +kubebuilder:validation:MaxItems=2
	// +optional
	IPs []string `json:"ips,omitempty"`

	// type is ClusterSetIP or Headless.
	Type ServiceImportType `json:"type"`

	// sessionAffinity is ClientIP or None. Absent: None.
	// +optional
	SessionAffinity string `json:"sessionAffinity,omitempty"`

	// sessionAffinityConfig says more about the affinity.
	// +optional
	SessionAffinityConfig *SessionAffinityConfig `json:"sessionAffinityConfig,omitempty"`
}

// ServicePort is a port of an imported service.
type ServicePort struct {
	// name is the port's name.
	// +optional
	Name string `json:"name,omitempty"`

	// protocol is TCP, UDP or SCTP. Absent: TCP.
	// +optional
	Protocol string `json:"protocol,omitempty"`

	// appProtocol is what is spoken on the port, as of a Service.
	// +optional
	AppProtocol *string `json:"appProtocol,omitempty"`

	// port is the port's number.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port"`
}

// SessionAffinityConfig says more about an affinity.
type SessionAffinityConfig struct {
	// clientIP is for the affinity ClientIP.
	// +optional
	ClientIP *ClientIPConfig `json:"clientIP,omitempty"`
}

// ClientIPConfig is for the affinity ClientIP.
type ClientIPConfig struct {
	// timeoutSeconds is how long, in seconds, a client stays with a pod: up to
	// 86400. Absent: 10800.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=86400
	// +optional
	TimeoutSeconds *int32 `json:"timeoutSeconds,omitempty"`
}

// ServiceImportStatus says which clusters export a service.
type ServiceImportStatus struct {
	// clusters are the exporting clusters.
	// +listType=map
	// +listMapKey=cluster
	// +optional
	Clusters []ClusterStatus `json:"clusters,omitempty"`

	// observedGeneration is the metadata.generation that the conditions
	// describe.
	// +kubebuilder:validation:Minimum=0
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions are what was found, one entry per type.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ClusterStatus is an exporting cluster.
type ClusterStatus struct {
	// cluster is the cluster's name, a DNS label.
	Cluster string `json:"cluster"`
}
