package v1alpha2

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"openservicemesh.io/osm/api/status"
)

// MeshConfigName is the name of the only MeshConfig that counts, in the
// namespace of the control plane.
const MeshConfigName = "osm-mesh-config"

// MeshConfig holds the settings of one mesh. Only the object named
// `osm-mesh-config` in the control plane's namespace has an effect.
//
// Booleans and structs are always written out, so that an explicit `false`
// survives a round trip; lists keep the difference between absent and empty.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
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

// MeshConfigSpec is the configuration of one mesh.
type MeshConfigSpec struct {
	// sidecar configures the proxies. Most of it is read when a pod is
	// admitted, so pods have to be restarted to take up a change.
	// +optional
	Sidecar SidecarSpec `json:"sidecar"`

	// traffic configures what is redirected and what may talk to what.
	// +optional
	Traffic TrafficSpec `json:"traffic"`

	// observability configures logs, the debug server and tracing.
	// +optional
	Observability ObservabilitySpec `json:"observability"`

	// certificate configures the certificates the mesh issues.
	// +optional
	Certificate CertificateSpec `json:"certificate,omitzero"`

	// featureFlags switches features on and off.
	// +optional
	FeatureFlags FeatureFlags `json:"featureFlags"`
}

// LogLevel is a log level of the proxy. `off` has to be quoted in YAML:
// without quotes it is read as the boolean false and refused.
//
// +kubebuilder:validation:Enum=trace;debug;info;warning;warn;error;critical;"off"
type LogLevel string

// Log levels of the proxy.
const (
	LogLevelTrace    LogLevel = "trace"
	LogLevelDebug    LogLevel = "debug"
	LogLevelInfo     LogLevel = "info"
	LogLevelWarning  LogLevel = "warning"
	LogLevelWarn     LogLevel = "warn"
	LogLevelError    LogLevel = "error"
	LogLevelCritical LogLevel = "critical"
	LogLevelOff      LogLevel = "off"
)

// TLSVersion is a version of the TLS protocol, as the proxy spells it.
//
// +kubebuilder:validation:Enum=TLS_AUTO;TLSv1_0;TLSv1_1;TLSv1_2;TLSv1_3
type TLSVersion string

// Versions of the TLS protocol. TLSAuto leaves the choice to the proxy.
const (
	TLSAuto TLSVersion = "TLS_AUTO"
	TLSv1_0 TLSVersion = "TLSv1_0"
	TLSv1_1 TLSVersion = "TLSv1_1"
	TLSv1_2 TLSVersion = "TLSv1_2"
	TLSv1_3 TLSVersion = "TLSv1_3"
)

// LocalProxyMode says at which address a proxy reaches its own application.
//
// +kubebuilder:validation:Enum=Localhost;PodIP
type LocalProxyMode string

// Addresses at which a proxy reaches its own application.
const (
	LocalProxyModeLocalhost LocalProxyMode = "Localhost"
	LocalProxyModePodIP     LocalProxyMode = "PodIP"
)

// SidecarSpec configures the proxies.
//
// +kubebuilder:validation:XValidation:rule="!has(self.tlsMinProtocolVersion) || !has(self.tlsMaxProtocolVersion) || self.tlsMinProtocolVersion == 'TLS_AUTO' || self.tlsMaxProtocolVersion == 'TLS_AUTO' || self.tlsMinProtocolVersion <= self.tlsMaxProtocolVersion",message="tlsMaxProtocolVersion must not be below tlsMinProtocolVersion: no handshake could succeed"
type SidecarSpec struct {
	// enablePrivilegedInitContainer makes the init container privileged.
	// Otherwise it has the capabilities it needs and no more. Read at
	// admission.
	// +optional
	EnablePrivilegedInitContainer bool `json:"enablePrivilegedInitContainer"`

	// logLevel is the proxy's log level. Quote `off`: YAML reads it as a
	// boolean otherwise. Read at admission.
	// +optional
	LogLevel LogLevel `json:"logLevel,omitempty"`

	// envoyImage replaces the proxy's image. Empty: the control plane's
	// default. Read at admission.
	// +optional
	EnvoyImage string `json:"envoyImage,omitempty"`

	// envoyWindowsImage replaces the proxy's image on Windows nodes. Empty: the
	// control plane's default. Read at admission.
	// +optional
	EnvoyWindowsImage string `json:"envoyWindowsImage,omitempty"`

	// initContainerImage replaces the init container's image. Empty: the
	// control plane's default. Read at admission.
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

	// tlsMinProtocolVersion is the lowest TLS version between proxies and
	// towards the control plane, which itself asks for TLS 1.2 or newer.
	// +kubebuilder:default=TLSv1_2
	// +optional
	TLSMinProtocolVersion TLSVersion `json:"tlsMinProtocolVersion,omitempty"`

	// tlsMaxProtocolVersion is the highest TLS version between proxies and
	// towards the control plane.
	// +kubebuilder:default=TLSv1_3
	// +optional
	TLSMaxProtocolVersion TLSVersion `json:"tlsMaxProtocolVersion,omitempty"`

	// cipherSuites are the ciphers for TLS 1.0 to 1.2, by OpenSSL name. Empty:
	// the proxy's own choice.
	// +optional
	CipherSuites []string `json:"cipherSuites,omitzero"`

	// ecdhCurves are the curves for the key exchange. Empty: the proxy's own
	// choice.
	// +optional
	ECDHCurves []string `json:"ecdhCurves,omitzero"`

	// localProxyMode says where the application is reached: at 127.0.0.1
	// (Localhost) or at the pod's IP (PodIP). Read at admission.
	// +kubebuilder:default=Localhost
	// +optional
	LocalProxyMode LocalProxyMode `json:"localProxyMode,omitempty"`

	// clusterDiscovery says when a proxy gets the clusters of services it may
	// call: all of them before the first call (Preloaded), each with the first
	// call to it (OnDemand), or Preloaded up to 200 of them and OnDemand beyond
	// (Auto). Absent: Auto. Live.
	// +optional
	ClusterDiscovery ClusterDiscoveryMode `json:"clusterDiscovery,omitempty"`
}

// ClusterDiscoveryMode says when proxies get the clusters they may call.
//
// +kubebuilder:validation:Enum=Auto;OnDemand;Preloaded
type ClusterDiscoveryMode string

// When proxies get the clusters they may call.
const (
	// ClusterDiscoveryAuto goes by how many they are.
	ClusterDiscoveryAuto ClusterDiscoveryMode = "Auto"
	// ClusterDiscoveryOnDemand is with the first call to each.
	ClusterDiscoveryOnDemand ClusterDiscoveryMode = "OnDemand"
	// ClusterDiscoveryPreloaded is before they are called.
	ClusterDiscoveryPreloaded ClusterDiscoveryMode = "Preloaded"
)

// UndeclaredPorts says how Service ports are taken that declare no protocol.
//
// +kubebuilder:validation:Enum=detect;http
type UndeclaredPorts string

// Ways to take ports that declare no protocol. Empty means detect.
const (
	UndeclaredDetect UndeclaredPorts = "detect"
	UndeclaredHTTP   UndeclaredPorts = "http"
)

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

	// outboundIPRangeInclusionList are the only CIDRs whose traffic goes through
	// the proxy, unless the list is empty. Read at admission.
	// +kubebuilder:validation:items:Pattern=`^(([0-9]{1,3}\.){3}[0-9]{1,3}/[0-9]{1,2}|[0-9A-Fa-f.:]*:[0-9A-Fa-f.:]*/[0-9]{1,3})$`
	// +optional
	OutboundIPRangeInclusionList []string `json:"outboundIPRangeInclusionList,omitzero"`

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

	// networkInterfaceExclusionList are names of interfaces whose traffic
	// bypasses the proxy. Read at admission.
	// +optional
	NetworkInterfaceExclusionList []string `json:"networkInterfaceExclusionList,omitzero"`

	// inboundExternalAuthorization asks a gRPC service about every inbound HTTP
	// request. Live.
	// +optional
	InboundExternalAuthorization ExternalAuthorizationSpec `json:"inboundExternalAuthorization"`

	// undeclaredPorts says how Service ports are taken that declare no
	// protocol, neither by appProtocol nor by their names. `detect`, the
	// default: in permissive mode HTTP is found by its first bytes and anything
	// else passes as bytes; in SMI mode they are HTTP. `http`: they are HTTP.
	// +optional
	UndeclaredPorts UndeclaredPorts `json:"undeclaredPorts,omitempty"`
}

// ExternalAuthorizationSpec names a gRPC service that speaks the proxy's
// external authorization API.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.enable) && self.enable) || has(self.address) && size(self.address) > 0 && has(self.port)",message="address and port must be set when enable is true"
type ExternalAuthorizationSpec struct {
	// enable switches external authorization on.
	// +optional
	Enable bool `json:"enable"`

	// address is the host name or IP of the service.
	// +optional
	Address string `json:"address,omitempty"`

	// port is the port of the service.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	// +optional
	Port int `json:"port,omitempty"`

	// statPrefix is the prefix of the metrics of these calls.
	// +kubebuilder:default=inboundExtAuthz
	// +optional
	StatPrefix string `json:"statPrefix,omitempty"`

	// timeout is how long an answer may take, as a Go duration.
	// +kubebuilder:default="1s"
	// +optional
	Timeout string `json:"timeout,omitempty"`

	// failureModeAllow lets requests pass when the service does not answer.
	// +optional
	FailureModeAllow bool `json:"failureModeAllow"`
}

// ObservabilitySpec configures logs, the debug server and tracing.
type ObservabilitySpec struct {
	// osmLogLevel is the log level of the control plane: one of disabled,
	// panic, fatal, error, warn, info, debug, trace.
	// +optional
	OSMLogLevel string `json:"osmLogLevel,omitempty"`

	// enableDebugServer opens the controller's debug server on port 9092.
	// +optional
	EnableDebugServer bool `json:"enableDebugServer"`

	// accessLog says which calls the proxies log on their standard output:
	// All, Failures or Off. Absent: Failures. Live.
	// +optional
	AccessLog AccessLogMode `json:"accessLog,omitempty"`

	// tracing configures Zipkin spans. Live.
	// +optional
	Tracing TracingSpec `json:"tracing"`
}

// AccessLogMode says which calls the proxies log.
//
// +kubebuilder:validation:Enum=All;Failures;Off
type AccessLogMode string

// Which calls the proxies log.
const (
	// AccessLogAll logs every request and every connection.
	AccessLogAll AccessLogMode = "All"
	// AccessLogFailures logs answers of 400 and above, gRPC errors, and
	// whatever the proxy itself has a reason to flag.
	AccessLogFailures AccessLogMode = "Failures"
	// AccessLogOff logs nothing.
	AccessLogOff AccessLogMode = "Off"
)

// TracingSpec says where the proxies send Zipkin spans.
type TracingSpec struct {
	// enable switches tracing on.
	// +optional
	Enable bool `json:"enable"`

	// address is the host name or IP of the collector. Empty:
	// jaeger.<control plane namespace>.svc.cluster.local.
	// +optional
	Address string `json:"address,omitempty"`

	// port is the collector's port. Absent or 0: 9411.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=65535
	// +optional
	Port int `json:"port,omitempty"`

	// endpoint is the collector's HTTP path. Empty: /api/v2/spans.
	// +optional
	Endpoint string `json:"endpoint,omitempty"`
}

// CertificateSpec configures the certificates the mesh issues.
type CertificateSpec struct {
	// serviceCertValidityDuration is the lifetime of a workload's certificate,
	// as a Go duration. Below 10m it is 10m; unreadable, it is 24h.
	ServiceCertValidityDuration string `json:"serviceCertValidityDuration"`

	// certKeyBitSize is the size of RSA keys, 2048 to 4096; anything else is
	// 2048. Keys of other types do not look at it.
	// +kubebuilder:validation:Minimum=-2147483648
	// +kubebuilder:validation:Maximum=2147483647
	CertKeyBitSize int `json:"certKeyBitSize"`

	// ingressGateway asks for a client certificate for an ingress controller.
	// Removing it removes the Secret.
	// +optional
	IngressGateway *IngressGatewayCertSpec `json:"ingressGateway,omitempty"`
}

// IngressGatewayCertSpec asks for a client certificate for an ingress
// controller, in a Secret of type kubernetes.io/tls with the keys ca.crt,
// tls.crt and tls.key.
type IngressGatewayCertSpec struct {
	// subjectAltNames are the DNS names in the certificate.
	// +kubebuilder:validation:MinItems=1
	SubjectAltNames []string `json:"subjectAltNames"`

	// validityDuration is the lifetime of the certificate, as a Go duration.
	ValidityDuration string `json:"validityDuration"`

	// secret is where the certificate is stored.
	Secret SecretReference `json:"secret"`
}

// SecretReference names a Secret.
type SecretReference struct {
	// name is the Secret's name.
	Name string `json:"name"`

	// namespace is the Secret's namespace.
	Namespace string `json:"namespace"`
}

// FeatureFlags switches features on and off. Absent is off.
type FeatureFlags struct {
	// enableWASMStats switches the metrics by source and destination on. (The
	// name has stayed; no WebAssembly is involved.)
	// +optional
	EnableWASMStats bool `json:"enableWASMStats"`

	// enableEgressPolicy switches Egress policies on.
	// +optional
	EnableEgressPolicy bool `json:"enableEgressPolicy"`

	// enableMulticlusterMode has no effect; kept for old manifests.
	// +optional
	EnableMulticlusterMode bool `json:"enableMulticlusterMode,omitempty"`

	// enableSnapshotCacheMode has no effect; kept for old manifests.
	// +optional
	EnableSnapshotCacheMode bool `json:"enableSnapshotCacheMode"`

	// enableAsyncProxyServiceMapping has no effect; kept for old manifests.
	// +optional
	EnableAsyncProxyServiceMapping bool `json:"enableAsyncProxyServiceMapping"`

	// enableIngressBackendPolicy has no effect: IngressBackend is always on.
	// Kept for old manifests.
	// +optional
	EnableIngressBackendPolicy bool `json:"enableIngressBackendPolicy"`

	// enableEnvoyActiveHealthChecks lets proxies probe their upstreams.
	// +optional
	EnableEnvoyActiveHealthChecks bool `json:"enableEnvoyActiveHealthChecks"`

	// enableRetryPolicy false switches Retry policies off. Absent: on.
	// +optional
	EnableRetryPolicy *bool `json:"enableRetryPolicy,omitempty"`

	// enableMeshRootCertificate takes the certificate provider from
	// MeshRootCertificate objects instead of the control plane's flags.
	// +optional
	EnableMeshRootCertificate bool `json:"enableMeshRootCertificate,omitempty"`
}
