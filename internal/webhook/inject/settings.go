package inject

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"

	configv1alpha2 "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/internal/core/bootstrap"
	"openservicemesh.io/osm/internal/core/podpatch"
)

// Defaults are the chart's words, which hold where MeshConfig is silent or missing.
type Defaults struct {
	Mesh podpatch.Mesh
	// Images come from the injector's environment.
	Images     podpatch.Images
	PullPolicy corev1.PullPolicy
	// NativeSidecar: see podpatch.Settings.
	NativeSidecar bool
	// PreStopSleep: see podpatch.Settings.
	PreStopSleep bool
	DualStack    bool
	Verbosity    string
	// ADSName is the name in the ADS server's certificate.
	ADSName string
}

// settings lays the MeshConfig, which may be nil, over the defaults.
func settings(d Defaults, mc *configv1alpha2.MeshConfig, rootPEM string) podpatch.Settings {
	var spec configv1alpha2.MeshConfigSpec
	if mc != nil {
		spec = mc.Spec
	}
	s := spec.Sidecar
	return podpatch.Settings{
		Mesh: d.Mesh,
		Images: podpatch.Images{
			Envoy: cmp.Or(s.EnvoyImage, d.Images.Envoy), EnvoyWindows: cmp.Or(s.EnvoyWindowsImage, d.Images.EnvoyWindows),
			Init: cmp.Or(s.InitContainerImage, d.Images.Init), Healthcheck: d.Images.Healthcheck,
		},
		PullPolicy: d.PullPolicy, NativeSidecar: d.NativeSidecar, PreStopSleep: d.PreStopSleep, DualStack: d.DualStack,
		PrivilegedInit: s.EnablePrivilegedInitContainer,
		LogLevel:       string(cmp.Or(s.LogLevel, configv1alpha2.LogLevelError)),
		Verbosity:      cmp.Or(spec.Observability.OSMLogLevel, d.Verbosity),
		Resources:      s.Resources,
		Traffic:        podpatch.TrafficOf(spec.Traffic),
		PodIPMode:      s.LocalProxyMode == configv1alpha2.LocalProxyModePodIP,
		ADSName:        d.ADSName, RootPEM: rootPEM,
		TLS: bootstrap.TLSParams{
			MinVersion:   string(cmp.Or(s.TLSMinProtocolVersion, configv1alpha2.TLSv1_2)),
			MaxVersion:   string(cmp.Or(s.TLSMaxProtocolVersion, configv1alpha2.TLSv1_3)),
			CipherSuites: s.CipherSuites, ECDHCurves: s.ECDHCurves,
		},
	}
}
