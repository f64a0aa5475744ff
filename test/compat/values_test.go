package compat

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/charts"
	"openservicemesh.io/osm/internal/version"
)

// value is one leaf key of the chart: its default as users of OSM know it, and what a user might write in its place.
type value struct {
	key string
	def any
	set string
}

var imageKeys = map[string]string{
	"osmController": "osm-controller", "osmInjector": "osm-injector", "osmSidecarInit": "init", "osmBootstrap": "osm-bootstrap",
	"osmCRDs": "osm-crds", "osmPreinstall": "osm-preinstall", "osmHealthcheck": "osm-healthcheck",
}

const someDigest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// documentedValues is every leaf key that OSM 1.2 and its last development version document.
func documentedValues() []value {
	vals := []value{
		{"osm.image.registry", "openservicemesh", "registry.example.com/mesh"},
		{"osm.image.pullPolicy", "IfNotPresent", "Always"},
		{"osm.image.tag", "", "v1.2.4"},
		{"osm.imagePullSecrets", []any{}, ""},
		{"osm.imagePullSecrets[0].name", nil, "regcred"},
		{"osm.sidecarImage", "envoyproxy/envoy-distroless:v1.40.0", "example.com/envoy:v1"},
		{"osm.sidecarWindowsImage", "envoyproxy/envoy-windows:v1.23.1", "example.com/envoy-windows:v1"},
		{"osm.curlImage", "curlimages/curl", "example.com/curl"},
		{"osm.trustDomain", "cluster.local", "example.org"},
		{"osm.certificateProvider.kind", "tresor", "cert-manager"},
		{"osm.certificateProvider.serviceCertValidityDuration", "24h", "1h30m"},
		{"osm.certificateProvider.certKeyBitSize", 2048.0, "4096"},
		{"osm.vault.host", "", "vault.vault.svc"}, {"osm.vault.port", 8200.0, "8300"}, {"osm.vault.protocol", "http", "https"},
		{"osm.vault.token", "", "s.abc"}, {"osm.vault.role", "openservicemesh", "mesh"},
		{"osm.vault.secret.name", "", "vault-token"}, {"osm.vault.secret.key", "", "token"},
		{"osm.certmanager.issuerName", "osm-ca", "ca"}, {"osm.certmanager.issuerKind", "Issuer", "ClusterIssuer"},
		{"osm.certmanager.issuerGroup", "cert-manager.io", "example.com"},
		{"osm.caBundleSecretName", "osm-ca-bundle", "my-ca"},
		{"osm.enableDebugServer", false, "true"}, {"osm.enablePermissiveTrafficPolicy", true, "false"},
		{"osm.enableEgress", true, "false"}, {"osm.enableReconciler", false, "true"},
		{"osm.deployPrometheus", false, "false"}, {"osm.deployGrafana", false, "false"}, {"osm.deployJaeger", false, "false"},
		{"osm.enableFluentbit", false, "false"},
		{"osm.meshName", "osm", "my-mesh"}, {"osm.envoyLogLevel", "error", "debug"}, {"osm.controllerLogLevel", "info", "trace"},
		{"osm.localProxyMode", "Localhost", "PodIP"}, {"osm.maxDataPlaneConnections", 0.0, "1000"},
		{"osm.configResyncInterval", "0s", "90s"}, {"osm.enforceSingleMesh", true, "false"},
		{"osm.webhookConfigNamePrefix", "osm-webhook", "my-webhook"}, {"osm.osmNamespace", "", "mesh-system"},
		{"osm.validatorWebhook.webhookConfigurationName", "", "my-validator"},
		{"osm.outboundIPRangeExclusionList", []any{}, "{10.0.0.0/8,1.1.1.1/32}"},
		{"osm.outboundIPRangeInclusionList", []any{}, "{10.0.0.0/8,fd00::/8}"},
		{"osm.outboundPortExclusionList", []any{}, "{6379,7070}"}, {"osm.inboundPortExclusionList", []any{}, "{1,65535}"},
		{"osm.networkInterfaceExclusionList", []any{}, "{eth1,cni0}"},
		{"osm.enablePrivilegedInitContainer", false, "true"},
		{"osm.controlPlaneTolerations", []any{}, ""}, {"osm.controlPlaneTolerations[0].key", nil, "dedicated"},
		{"smi.validateTrafficTarget", true, "false"},
		{"contour.enabled", false, "false"}, {"contour.contour.image.registry", "ghcr.io", "example.com"},
		{"contour.contour.image.repository", "projectcontour/contour", "contour"}, {"contour.contour.image.tag", "v1.22.1", "v1"},
		{"contour.envoy.image.registry", "docker.io", "example.com"},
		{"contour.envoy.image.repository", "envoyproxy/envoy-distroless", "envoy"}, {"contour.envoy.image.tag", "v1.23.1", "v1"},
		{"contour.envoy.hostPorts.enable", nil, "true"},
	}
	for key, name := range imageKeys {
		vals = append(vals, value{"osm.image.name." + key, name, "my-" + name}, value{"osm.image.digest." + key, "", someDigest})
	}
	vals = append(vals, componentValues()...)
	return append(vals, addonValues()...)
}

func componentValues() []value {
	var vals []value
	for component, r := range map[string][4]string{
		"osmController": {"1.5", "1G", "0.5", "128M"}, "injector": {"0.5", "64M", "0.3", "64M"}, "osmBootstrap": {"0.5", "128M", "0.3", "128M"},
	} {
		p := "osm." + component + "."
		vals = append(vals,
			value{p + "replicaCount", 1.0, "3"}, value{p + "podLabels", map[string]any{}, ""}, value{p + "podLabels.team", nil, "mesh"},
			value{p + "resource.limits.cpu", r[0], "2"}, value{p + "resource.limits.memory", r[1], "2Gi"},
			value{p + "resource.requests.cpu", r[2], "250m"}, value{p + "resource.requests.memory", r[3], "256Mi"},
			value{p + "affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution", nil, ""},
			value{p + "tolerations", []any{}, ""}, value{p + "tolerations[0].key", nil, "dedicated"})
		if component != "osmController" {
			vals = append(vals, value{p + "nodeSelector", map[string]any{}, ""}, value{p + "nodeSelector.pool", nil, "mesh"})
		}
		if component != "osmBootstrap" {
			vals = append(vals, value{p + "enablePodDisruptionBudget", false, "true"},
				value{p + "autoScale.enable", false, "true"}, value{p + "autoScale.minReplicas", 1.0, "2"}, value{p + "autoScale.maxReplicas", 5.0, "9"},
				value{p + "autoScale.cpu.targetAverageUtilization", 80.0, "60"}, value{p + "autoScale.memory.targetAverageUtilization", 80.0, "60"})
		}
	}
	vals = append(vals, value{"osm.injector.webhookTimeoutSeconds", 20.0, "30"})
	for flag, def := range map[string]bool{
		"enableWASMStats": true, "enableEgressPolicy": true, "enableAsyncProxyServiceMapping": false, "enableIngressBackendPolicy": true,
		"enableEnvoyActiveHealthChecks": false, "enableSnapshotCacheMode": false, "enableRetryPolicy": true, // the original's default is false
		"enableMeshRootCertificate": false, "enableSPIFFE": false,
	} {
		vals = append(vals, value{"osm.featureFlags." + flag, def, fmt.Sprint(!def)})
	}
	return vals
}

func addonValues() []value {
	vals := []value{
		{"osm.prometheus.resources.limits.cpu", "1", "2"}, {"osm.prometheus.resources.limits.memory", "2G", "4G"},
		{"osm.prometheus.resources.requests.cpu", "0.5", "1"}, {"osm.prometheus.resources.requests.memory", "512M", "1G"},
		{"osm.prometheus.port", 7070.0, "9090"}, {"osm.prometheus.retention.time", "15d", "30d"},
		{"osm.prometheus.image", "prom/prometheus:v2.34.0", "example.com/prometheus:v1"},
		{"osm.grafana.port", 3000.0, "3001"}, {"osm.grafana.enableRemoteRendering", false, "true"},
		{"osm.grafana.image", "grafana/grafana:8.2.2", "example.com/grafana:v1"},
		{"osm.grafana.rendererImage", "grafana/grafana-image-renderer:3.2.1", "example.com/renderer:v1"},
		{"osm.tracing.enable", false, "true"}, {"osm.tracing.address", "", "collector.tracing.svc"}, {"osm.tracing.port", 9411.0, "9412"},
		{"osm.tracing.endpoint", "/api/v2/spans", "/spans"}, {"osm.tracing.image", "jaegertracing/all-in-one:1.39", "example.com/jaeger:v1"},
		{"osm.fluentBit.name", "fluentbit-logger", "logger"}, {"osm.fluentBit.registry", "fluent", "example.com"},
		{"osm.fluentBit.tag", "1.6.4", "1.9"}, {"osm.fluentBit.pullPolicy", "IfNotPresent", "Always"},
		{"osm.fluentBit.outputPlugin", "stdout", "azure"}, {"osm.fluentBit.workspaceId", "", "id"}, {"osm.fluentBit.primaryKey", "", "key"},
		{"osm.fluentBit.enableProxySupport", false, "true"}, {"osm.fluentBit.httpProxy", "", "http://proxy"},
		{"osm.fluentBit.httpsProxy", "", "https://proxy"},
	}
	for _, p := range []string{"prometheus", "grafana", "tracing", "preinstall", "cleanup"} {
		p = "osm." + p + "."
		vals = append(vals, value{p + "nodeSelector", map[string]any{}, ""}, value{p + "nodeSelector.pool", nil, "mesh"},
			value{p + "affinity.nodeAffinity", nil, ""}, value{p + "tolerations", []any{}, ""}, value{p + "tolerations[0].key", nil, "dedicated"})
	}
	return vals
}

// Every documented key has its documented default and takes the values users give it.
func TestDocumentedValues(t *testing.T) {
	chrt, err := charts.OSM()
	require.NoError(t, err)
	for _, v := range documentedValues() {
		t.Run(v.key, func(t *testing.T) {
			if v.def != nil {
				require.Equal(t, v.def, lookup(t, chrt.Values, v.key))
			}
			if v.set == "" {
				return
			}
			sets := []string{v.key + "=" + v.set}
			if strings.HasPrefix(v.key, "osm.osmController.autoScale.min") || strings.HasPrefix(v.key, "osm.injector.autoScale.min") {
				sets = append(sets, strings.TrimSuffix(v.key, "minReplicas")+"enable=true")
			}
			mustRender(t, renderOpts{sets: sets})
		})
	}
}

func lookup(t *testing.T, vals map[string]any, key string) any {
	t.Helper()
	var at any = vals
	for _, part := range strings.Split(key, ".") {
		m, ok := at.(map[string]any)
		require.Truef(t, ok, "%s: no map above %s", key, part)
		at, ok = m[part]
		require.Truef(t, ok, "%s is not in values.yaml", key)
	}
	return at
}

func TestRefusedValues(t *testing.T) {
	cases := map[string]string{
		"osm.enableEgres=true":                                    "at '/osm': additional properties 'enableEgres' not allowed",
		"osm.osmController.replicas=2":                            "at '/osm/osmController': additional properties 'replicas' not allowed",
		"osm.featureFlags.enableMagic=true":                       "at '/osm/featureFlags': additional properties 'enableMagic' not allowed",
		"osm.metricsAgent.enabled=true":                           "at '/osm': additional properties 'metricsAgent' not allowed",
		"osn.enableEgress=true":                                   "additional properties 'osn' not allowed",
		"osm.controllerLogLevel=loud":                             "at '/osm/controllerLogLevel': value must be one of 'disabled', 'panic'",
		"osm.envoyLogLevel=loud":                                  "at '/osm/envoyLogLevel': value must be one of 'trace', 'debug'",
		"osm.certificateProvider.kind=tressor":                    "at '/osm/certificateProvider/kind': value must be one of 'tresor', 'vault', 'cert-manager'",
		"osm.certificateProvider.serviceCertValidityDuration=1d":  "at '/osm/certificateProvider/serviceCertValidityDuration': '1d' does not match pattern",
		"osm.localProxyMode=localhost":                            "at '/osm/localProxyMode': value must be one of 'Localhost', 'PodIP'",
		"osm.clusterDiscovery=lazy":                               "at '/osm/clusterDiscovery': value must be one of 'Auto', 'OnDemand', 'Preloaded'",
		"osm.sidecarMode=none":                                    "at '/osm/sidecarMode': value must be one of 'auto', 'native', 'classic'",
		"osm.outboundIPRangeExclusionList={10.0.0.0}":             "at '/osm/outboundIPRangeExclusionList/0': '10.0.0.0' does not match pattern",
		"osm.outboundIPRangeInclusionList={10.0.0.0/33}":          "at '/osm/outboundIPRangeInclusionList/0': '10.0.0.0/33' does not match pattern",
		"osm.outboundPortExclusionList={0}":                       "at '/osm/outboundPortExclusionList/0': minimum: got 0, want 1",
		"osm.inboundPortExclusionList={65536}":                    "at '/osm/inboundPortExclusionList/0': maximum: got 65,536, want 65,535",
		"osm.inboundPortExclusionList={http}":                     "at '/osm/inboundPortExclusionList/0': got string, want integer",
		"osm.enableEgress=perhaps":                                "at '/osm/enableEgress': got string, want boolean",
		"osm.image.digest.osmController=sha256:12":                "at '/osm/image/digest/osmController': 'sha256:12' does not match pattern",
		"osm.osmBootstrap.healthPort=9443":                        "at '/osm/osmBootstrap/healthPort': 'not' failed",
		"contour.enabled=true":                                    "contour.enabled=true: this chart does not bundle Contour",
		"osm.deployGrafana=true":                                  "osm.deployGrafana=true: this chart does not deploy Grafana",
		"osm.deployJaeger=true":                                   "osm.deployJaeger=true: this chart does not deploy Jaeger",
		"osm.enableFluentbit=true":                                "osm.enableFluentbit=true: this chart does not deploy Fluent Bit",
		"osm.certificateProvider.kind=vault":                      "osm.vault.host is needed when osm.certificateProvider.kind is vault",
		"osm.certificateProvider.kind=vault,osm.vault.host=vault": "osm.vault.token or osm.vault.secret.name is needed when osm.certificateProvider.kind is vault",
		"osm.certificateProvider.kind=vault,osm.vault.host=vault,osm.vault.secret.name=a": "osm.vault.secret.key is needed with osm.vault.secret.name",
		"osm.certificateProvider.kind=vault,osm.vault.host=http://vault":                  "osm.vault.host \"http://vault\": want the host name or address of the Vault server alone",
		"osm.certificateProvider.kind=vault,osm.vault.host=vault,osm.vault.role=":         "osm.vault.role is needed when osm.certificateProvider.kind is vault",
		"osm.certificateProvider.kind=cert-manager,osm.certmanager.issuerName=":           "osm.certmanager.issuerName is needed when osm.certificateProvider.kind is cert-manager",
		"osm.certificateProvider.kind=cert-manager,osm.certmanager.issuerKind=issuer":     "osm.certmanager.issuerKind \"issuer\": want Issuer or ClusterIssuer",
		"osm.injector.autoScale.minReplicas=9":                                            "osm.injector.autoScale: minReplicas is greater than maxReplicas",
	}
	for set, want := range cases {
		t.Run(set, func(t *testing.T) {
			_, err := render(renderOpts{sets: []string{set}})
			require.ErrorContains(t, err, want)
		})
	}
}

func TestChartVersion(t *testing.T) {
	files, err := charts.Files()
	require.NoError(t, err)
	for _, f := range files {
		if f.Name == "Chart.yaml" {
			require.Contains(t, string(f.Data), "\nappVersion: "+version.Version+"\n", "Chart.yaml and internal/version name one version")
			require.Contains(t, string(f.Data), "\nversion: "+strings.TrimPrefix(version.Version, "v")+"\n")
			require.Contains(t, string(f.Data), `kubeVersion: ">= 1.22.9-0"`)
			return
		}
	}
	t.Fatal("the embedded chart has no Chart.yaml")
}

func TestKubernetesVersions(t *testing.T) {
	_, err := render(renderOpts{kube: "v1.22.8"})
	require.ErrorContains(t, err, "incompatible with Kubernetes v1.22.8")
	for _, v := range []string{"v1.22.9", "v1.25.0", "v1.37.2", "v1.30.4-gke.100"} {
		mustRender(t, renderOpts{kube: v})
	}
}
