package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"openservicemesh.io/osm/api/status"
)

// UpstreamTrafficSetting says how one host is called: what its clients'
// proxies keep to (connectionSettings, outlierDetection, mirror) and what its
// own do (rateLimit, faultInjection).
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:resource:path=upstreamtrafficsettings,singular=upstreamtrafficsetting,shortName=upstreamtrafficsetting,scope=Namespaced
// +kubebuilder:printcolumn:name=Status,type=string,JSONPath=`.status.currentStatus`,description="Whether the policy is in force"
// +kubebuilder:printcolumn:name=Age,type=date,JSONPath=`.metadata.creationTimestamp`
type UpstreamTrafficSetting struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the policy.
	// +optional
	Spec UpstreamTrafficSettingSpec `json:"spec,omitzero"`

	// status is written by the control plane.
	// +optional
	Status status.Summary `json:"status,omitzero"`
}

// UpstreamTrafficSettingList is a list of UpstreamTrafficSetting.
//
// +kubebuilder:object:root=true
type UpstreamTrafficSettingList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []UpstreamTrafficSetting `json:"items"`
}

// UpstreamTrafficSettingSpec is what one host takes.
type UpstreamTrafficSettingSpec struct {
	// host is the fully qualified name. Of a service in the mesh it is
	// <service>.<namespace>.svc.cluster.local, and the object lives in that
	// namespace.
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.contains('.')",messageExpression="'spec.host: \"' + self + '\" is not a fully qualified domain name; a service of the mesh is <service>.<namespace>.svc.cluster.local'",message="spec.host is not a fully qualified domain name; a service of the mesh is <service>.<namespace>.svc.cluster.local"
	Host string `json:"host"`

	// connectionSettings are limits that the clients' proxies keep, each for
	// itself. Exceeding them answers 503.
	// +optional
	ConnectionSettings *ConnectionSettingsSpec `json:"connectionSettings,omitempty"`

	// rateLimit are limits that the host's own proxies keep.
	// +optional
	RateLimit *RateLimitSpec `json:"rateLimit,omitempty"`

	// outlierDetection has each client's proxy leave out pods that fail. Absent:
	// none is left out.
	// +optional
	OutlierDetection *OutlierDetectionSpec `json:"outlierDetection,omitempty"`

	// mirror has the clients' proxies send copies of requests to another service
	// of the namespace. Nobody waits for the answers to copies.
	// +optional
	Mirror *MirrorSpec `json:"mirror,omitempty"`

	// faultInjection has the host's own proxies hold up or answer requests, to
	// try how callers bear it.
	// +optional
	FaultInjection *FaultInjectionSpec `json:"faultInjection,omitempty"`

	// httpRoutes are settings for single paths; they replace those of the host.
	// +optional
	HTTPRoutes []HTTPRouteSpec `json:"httpRoutes,omitempty"`
}

// ConnectionSettingsSpec are limits that the clients' proxies keep.
type ConnectionSettingsSpec struct {
	// tcp are limits of connections.
	// +optional
	TCP *TCPConnectionSettings `json:"tcp,omitempty"`

	// http are limits of requests.
	// +optional
	HTTP *HTTPConnectionSettings `json:"http,omitempty"`
}

// TCPConnectionSettings are limits of connections.
type TCPConnectionSettings struct {
	// maxConnections is the number of connections open at a time. Absent:
	// unlimited.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4294967295
	// +optional
	MaxConnections *int64 `json:"maxConnections,omitempty"`

	// connectTimeout is how long connecting may take. Absent: the proxy's own
	// 5s.
	// +optional
	ConnectTimeout Duration `json:"connectTimeout,omitempty"`

	// idleTimeout is how long a connection may be without a byte before the
	// clients' proxies close it; for ports that are not HTTP. Absent or 0s: the
	// proxy's own 1h.
	// +optional
	IdleTimeout Duration `json:"idleTimeout,omitempty"`
}

// HTTPConnectionSettings are limits of requests.
type HTTPConnectionSettings struct {
	// maxRequests is the number of requests under way at a time. Absent:
	// unlimited.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4294967295
	// +optional
	MaxRequests *int64 `json:"maxRequests,omitempty"`

	// maxRequestsPerConnection is the number of requests after which a
	// connection is closed. Absent or 0: unlimited.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4294967295
	// +optional
	MaxRequestsPerConnection *int64 `json:"maxRequestsPerConnection,omitempty"`

	// maxPendingRequests is the number of requests that may wait for a
	// connection. Absent: unlimited.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4294967295
	// +optional
	MaxPendingRequests *int64 `json:"maxPendingRequests,omitempty"`

	// maxRetries is the number of retries under way at a time. Absent:
	// unlimited.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4294967295
	// +optional
	MaxRetries *int64 `json:"maxRetries,omitempty"`

	// requestTimeout is how long a request may take until its whole answer is
	// there, retries included. Then the caller is answered 504. Absent or 0s:
	// as long as it takes.
	// +optional
	RequestTimeout Duration `json:"requestTimeout,omitempty"`

	// idleTimeout is how long a request may be under way without a byte in
	// either direction. Then it is ended, with 504 if nothing was answered yet.
	// Absent or 0s: the proxy's own 5m.
	// +optional
	IdleTimeout Duration `json:"idleTimeout,omitempty"`
}
