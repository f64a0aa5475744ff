package convert

import (
	"slices"
	"strings"
	"time"

	configv1alpha2 "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/policy/meshconfig"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// Settings is what MeshConfig says to the control plane alone: no proxy's configuration depends on it.
type Settings struct {
	// LogLevel is one of disabled, panic, fatal, error, warn, info, debug, trace; "" leaves the level as it is.
	LogLevel string
	// DebugServer opens port 9092.
	DebugServer bool
	// CertValidity is the lifetime of workload certificates as the user wrote it; the issuer checks it.
	CertValidity string
	// MaxConnections caps proxy streams; 0 is no cap.
	MaxConnections int
	// ResyncInterval is the period of a full push; 0 is never.
	ResyncInterval time.Duration
	// Gateway asks for an ingress controller's client certificate; the zero value asks for none.
	Gateway Gateway
}

// Gateway is spec.certificate.ingressGateway, checked. It is comparable.
type Gateway struct {
	// Namespace and Secret name the Secret.
	Namespace, Secret string
	// Names are DNS names, joined by commas.
	Names    string
	Validity time.Duration
}

const minResyncInterval = 30 * time.Second

// DefaultMeshConfig is the MeshConfig of a default installation, for offline use where none is given.
func DefaultMeshConfig() *configv1alpha2.MeshConfig {
	return &configv1alpha2.MeshConfig{Spec: configv1alpha2.MeshConfigSpec{
		Traffic:     configv1alpha2.TrafficSpec{EnableEgress: true, EnablePermissiveTrafficPolicyMode: true},
		Certificate: configv1alpha2.CertificateSpec{ServiceCertValidityDuration: "24h", CertKeyBitSize: 2048},
		FeatureFlags: configv1alpha2.FeatureFlags{
			EnableWASMStats: true, EnableEgressPolicy: true, EnableIngressBackendPolicy: true,
		},
	}}
}

// MeshOf reads the part of MeshConfig that proxies depend on. The trust domain is a flag of the control plane.
func MeshOf(in *configv1alpha2.MeshConfig, td meshid.TrustDomain) snapshot.Mesh {
	s := in.Spec.Sidecar
	return snapshot.Mesh{
		Namespace:   in.Namespace,
		TrustDomain: td,
		Permissive:  in.Spec.Traffic.EnablePermissiveTrafficPolicyMode,
		Egress:      in.Spec.Traffic.EnableEgress,
		Detect:      in.Spec.Traffic.UndeclaredPorts != configv1alpha2.UndeclaredHTTP,
		TLS: snapshot.TLSParams{
			MinVersion:   orDefault(string(s.TLSMinProtocolVersion), string(configv1alpha2.TLSv1_2)),
			MaxVersion:   orDefault(string(s.TLSMaxProtocolVersion), string(configv1alpha2.TLSv1_3)),
			CipherSuites: slices.Clone(s.CipherSuites),
			Curves:       slices.Clone(s.ECDHCurves),
		},
		FeatureFlags:          flagsOf(in.Spec.FeatureFlags),
		ExternalAuthorization: meshconfig.ExternalAuthorization(in),
		Tracing:               meshconfig.Tracing(in),
		AccessLog:             accessLogOf(in.Spec.Observability.AccessLog),
		Clusters:              clustersOf(s.ClusterDiscovery),
	}
}

func accessLogOf(mode configv1alpha2.AccessLogMode) snapshot.AccessLog {
	switch mode {
	case configv1alpha2.AccessLogAll:
		return snapshot.LogAll
	case configv1alpha2.AccessLogOff:
		return snapshot.LogNothing
	default:
		return snapshot.LogFailures
	}
}

func clustersOf(mode configv1alpha2.ClusterDiscoveryMode) snapshot.ClusterDiscovery {
	switch mode {
	case configv1alpha2.ClusterDiscoveryOnDemand:
		return snapshot.ClustersOnDemand
	case configv1alpha2.ClusterDiscoveryPreloaded:
		return snapshot.ClustersPreloaded
	default:
		return snapshot.ClustersAuto
	}
}

// SettingsOf reads the rest. A resync interval below 30s counts as never.
func SettingsOf(in *configv1alpha2.MeshConfig) Settings {
	out := Settings{
		LogLevel:       in.Spec.Observability.OSMLogLevel,
		DebugServer:    in.Spec.Observability.EnableDebugServer,
		MaxConnections: in.Spec.Sidecar.MaxDataPlaneConnections,
		CertValidity:   in.Spec.Certificate.ServiceCertValidityDuration,
	}
	if d, err := time.ParseDuration(in.Spec.Sidecar.ConfigResyncInterval); err == nil && d >= minResyncInterval {
		out.ResyncInterval = d
	}
	if g := in.Spec.Certificate.IngressGateway; g != nil {
		if validity, err := meshconfig.IngressGateway(g); err == nil {
			out.Gateway = Gateway{Namespace: g.Secret.Namespace, Secret: g.Secret.Name, Names: strings.Join(g.SubjectAltNames, ","), Validity: validity}
		}
	}
	return out
}

func flagsOf(f configv1alpha2.FeatureFlags) map[string]bool {
	out := map[string]bool{}
	for name, on := range map[string]bool{
		"enableWASMStats": f.EnableWASMStats, "enableEgressPolicy": f.EnableEgressPolicy,
		"enableMulticlusterMode": f.EnableMulticlusterMode, "enableSnapshotCacheMode": f.EnableSnapshotCacheMode,
		"enableAsyncProxyServiceMapping": f.EnableAsyncProxyServiceMapping,
		"enableIngressBackendPolicy":     f.EnableIngressBackendPolicy,
		"enableEnvoyActiveHealthChecks":  f.EnableEnvoyActiveHealthChecks,
		"enableMeshRootCertificate":      f.EnableMeshRootCertificate,
	} {
		if on {
			out[name] = true
		}
	}
	// Retry policies act unless somebody has said no.
	if f.EnableRetryPolicy != nil {
		out[names.FlagRetryPolicy] = *f.EnableRetryPolicy
	}
	return out
}

func orDefault(s, def string) string {
	if s == "" {
		return def
	}
	return s
}
