package names

import (
	"slices"
	"strings"
)

// Keys of labels and annotations.
const (
	LabelMonitoredBy         = "openservicemesh.io/monitored-by"
	LabelIgnore              = "openservicemesh.io/ignore"
	LabelProxyUUID           = "osm-proxy-uuid"
	LabelReconcile           = "openservicemesh.io/reconcile"
	LabelAppName             = "app.kubernetes.io/name"
	LabelAppInstance         = "app.kubernetes.io/instance"
	LabelAppVersion          = "app.kubernetes.io/version"
	LabelApp                 = "app"
	LabelMeshName            = "meshName"
	LabelEnforceSingleMesh   = "enforceSingleMesh"
	LabelControlPlane        = "control-plane"
	LabelNamespaceName       = "kubernetes.io/metadata.name"
	AnnotationInjection      = "openservicemesh.io/sidecar-injection"
	AnnotationMetrics        = "openservicemesh.io/metrics"
	AnnotationScrape         = "prometheus.io/scrape"
	AnnotationScrapePort     = "prometheus.io/port"
	AnnotationScrapePath     = "prometheus.io/path"
	AnnotationScrapeScheme   = "prometheus.io/scheme"
	AnnotationOwnMetrics     = "openservicemesh.io/application-metrics"
	AnnotationOutPorts       = "openservicemesh.io/outbound-port-exclusion-list"
	AnnotationInPorts        = "openservicemesh.io/inbound-port-exclusion-list"
	AnnotationOutRanges      = "openservicemesh.io/outbound-ip-range-exclusion-list"
	AnnotationOutRangesOnly  = "openservicemesh.io/outbound-ip-range-inclusion-list"
	AnnotationEnvoyBootstrap = "openservicemesh.io/envoy-bootstrap"
)

// VersionLabel is a version as the value of LabelAppVersion, which takes no "+"; the chart writes it the same way.
func VersionLabel(version string) string { return strings.ReplaceAll(version, "+", "_") }

// AppName is the value of LabelAppName on everything the mesh owns.
const AppName = "openservicemesh.io"

// Names of the control plane's objects.
const (
	DefaultMeshName     = "osm"
	DefaultNamespace    = "osm-system"
	MeshConfig          = "osm-mesh-config"
	PresetMeshConfig    = "preset-mesh-config"
	PresetMeshConfigKey = "preset-mesh-config.json"
	CABundleSecret      = "osm-ca-bundle"
	CABundleCertKey     = "ca.crt"
	CABundlePrivateKey  = "private.key"
	Controller          = "osm-controller"
	Injector            = "osm-injector"
	Bootstrap           = "osm-bootstrap"
	Validator           = "osm-validator"
	InjectorWebhook     = "osm-inject.k8s.io"
	InjectorWebhookPath = "/mutate-pod-creation"
	ValidatorWebhook    = "osm-validator.k8s.io"
	// ValidatorOwnWebhook judges the objects of the control plane's own namespace.
	ValidatorOwnWebhook   = "osm-control-plane-validator.k8s.io"
	ValidatorWebhookPath  = "/validate"
	DefaultWebhookPrefix  = "osm-webhook"
	DefaultTrustDomain    = "cluster.local"
	ControllerTokenPrefix = "osm-ads"
)

// InjectorWebhookConfig is the MutatingWebhookConfiguration of a mesh, for example "osm-webhook-osm".
func InjectorWebhookConfig(prefix, mesh string) string { return prefix + "-" + mesh }

// ValidatorWebhookConfig is the default ValidatingWebhookConfiguration of a mesh, for example "osm-validator-mesh-osm".
func ValidatorWebhookConfig(mesh string) string { return "osm-validator-mesh-" + mesh }

// TokenAudience is the audience of the projected service-account token a sidecar presents to its control plane. It
// names the mesh and its namespace, so that a token of one mesh opens nothing in another.
func TokenAudience(mesh, namespace string) string {
	return ControllerTokenPrefix + "." + mesh + "." + namespace
}

// Containers and volumes of an injected pod.
const (
	ContainerEnvoy       = "envoy"
	ContainerInit        = "osm-init"
	ContainerHealthcheck = "osm-healthcheck"
	VolumeBootstrap      = "envoy-bootstrap-config-volume"
	BootstrapDir         = "/etc/envoy"
	BootstrapFile        = "bootstrap.yaml"
	TokenFile            = "token"
	// SidecarUID is the user Envoy runs as; the redirect rules let its traffic pass.
	SidecarUID = 1500
)

// EnvEnvoyImage is the injector's environment variable with the image of sidecars that MeshConfig names none for.
const EnvEnvoyImage = "OSM_DEFAULT_ENVOY_IMAGE"

// Ports of the control plane.
const (
	PortADS              = 15128
	PortControllerHTTP   = 9091
	PortControllerDebug  = 9092
	PortValidator        = 9093
	PortControllerAdmin  = 15000 // on loopback only, as Envoy's in a sidecar
	PortInjectorWebhook  = 9090
	PortBootstrapWebhook = 9443
)

// Ports inside an injected pod.
const (
	PortEnvoyAdmin      = 15000
	PortOutbound        = 15001
	PortInbound         = 15003
	PortEnvoyMetrics    = 15010
	PortProbeLiveness   = 15901
	PortProbeReadiness  = 15902
	PortProbeStartup    = 15903
	PortHealthcheck     = 15904
	PortSidecarReady    = 15905
	PathSidecarReady    = "/ready"
	PathProbeLiveness   = "/osm-liveness-probe"
	PathProbeReadiness  = "/osm-readiness-probe"
	PathProbeStartup    = "/osm-startup-probe"
	PathHookPostStart   = "/osm-poststart-hook"
	PathHookPreStop     = "/osm-prestop-hook"
	PathHealthcheck     = "/osm-healthcheck"
	PathPrometheusStats = "/stats/prometheus"
)

// sidecarPorts are what the sidecar and its helper listen on.
var sidecarPorts = []uint16{
	PortEnvoyAdmin, PortOutbound, PortInbound, PortEnvoyMetrics, PortProbeLiveness, PortProbeReadiness, PortProbeStartup, PortHealthcheck, PortSidecarReady,
}

// IsSidecarPort is whether a port of an injected pod is the sidecar's own. Whoever is led to one by what users write would
// reach the sidecar's admin interface, or get around its authorization.
func IsSidecarPort(port uint16) bool { return slices.Contains(sidecarPorts, port) }
