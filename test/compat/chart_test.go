package compat

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiext "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"openservicemesh.io/osm/api/crds"
	"openservicemesh.io/osm/api/scheme"
	"openservicemesh.io/osm/internal/core/names"
)

func as[T any](t *testing.T, u unstructured.Unstructured) T {
	t.Helper()
	var out T
	require.NoError(t, runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &out))
	return out
}

// defaultMeshConfig is the spec that a default installation of OSM 1.2 ends up with. Not in it are sidecar.resources and
// traffic.inboundExternalAuthorization, which OSM 1.2 writes out with their zero values.
const defaultMeshConfig = `
sidecar:
  enablePrivilegedInitContainer: false
  logLevel: error
  maxDataPlaneConnections: 0
  configResyncInterval: "0s"
  localProxyMode: Localhost
  tlsMinProtocolVersion: TLSv1_2
  tlsMaxProtocolVersion: TLSv1_3
traffic:
  enableEgress: true
  enablePermissiveTrafficPolicyMode: true
  outboundPortExclusionList: []
  inboundPortExclusionList: []
  outboundIPRangeExclusionList: []
  outboundIPRangeInclusionList: []
  networkInterfaceExclusionList: []
observability:
  enableDebugServer: false
  osmLogLevel: info
  tracing: {enable: false}
certificate:
  serviceCertValidityDuration: 24h
  certKeyBitSize: 2048
featureFlags:
  enableWASMStats: true
  enableEgressPolicy: true
  enableSnapshotCacheMode: false
  enableAsyncProxyServiceMapping: false
  enableIngressBackendPolicy: true
  enableEnvoyActiveHealthChecks: false
  enableRetryPolicy: true
`

func preset(t *testing.T, o renderOpts) map[string]any {
	t.Helper()
	cm := as[corev1.ConfigMap](t, find(t, objects(t, mustRender(t, o).Manifest), "ConfigMap", names.PresetMeshConfig))
	var spec map[string]any
	require.NoError(t, json.Unmarshal([]byte(cm.Data[names.PresetMeshConfigKey]), &spec))
	return spec
}

// The preset, with the defaults the API server adds, is the MeshConfig that users find after a default installation.
func TestPresetMeshConfig(t *testing.T) {
	var want map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(defaultMeshConfig), &want))
	require.Empty(t, cmp.Diff(want, admit(t, preset(t, renderOpts{}))))
}

func TestPresetMapping(t *testing.T) {
	spec := preset(t, renderOpts{sets: []string{
		"osm.enableEgress=false,osm.enablePermissiveTrafficPolicy=false,osm.enablePrivilegedInitContainer=true,osm.envoyLogLevel=off",
		"osm.maxDataPlaneConnections=1000000,osm.configResyncInterval=90s,osm.localProxyMode=PodIP,osm.enableDebugServer=true,osm.clusterDiscovery=OnDemand",
		"osm.outboundPortExclusionList={6379},osm.inboundPortExclusionList={7070},osm.networkInterfaceExclusionList={eth1}",
		"osm.outboundIPRangeExclusionList={1.1.1.1/32},osm.outboundIPRangeInclusionList={10.0.0.0/8},osm.controllerLogLevel=trace",
		"osm.certificateProvider.serviceCertValidityDuration=1h,osm.certificateProvider.certKeyBitSize=4096",
		"osm.tracing.enable=true,osm.tracing.port=40000,osm.featureFlags.enableRetryPolicy=false,osm.featureFlags.enableMeshRootCertificate=true",
	}})
	admit(t, spec)
	require.Equal(t, map[string]any{"enablePrivilegedInitContainer": true, "logLevel": "off", "maxDataPlaneConnections": 1e6,
		"configResyncInterval": "90s", "localProxyMode": "PodIP", "clusterDiscovery": "OnDemand"}, spec["sidecar"])
	require.Equal(t, map[string]any{"enableEgress": false, "enablePermissiveTrafficPolicyMode": false,
		"outboundPortExclusionList": []any{6379.0}, "inboundPortExclusionList": []any{7070.0}, "networkInterfaceExclusionList": []any{"eth1"},
		"outboundIPRangeExclusionList": []any{"1.1.1.1/32"}, "outboundIPRangeInclusionList": []any{"10.0.0.0/8"}}, spec["traffic"])
	require.Equal(t, map[string]any{"enableDebugServer": true, "osmLogLevel": "trace", "tracing": map[string]any{
		"enable": true, "port": 40000.0, "address": "jaeger.osm-system.svc.cluster.local", "endpoint": "/api/v2/spans"}}, spec["observability"])
	require.Equal(t, map[string]any{"serviceCertValidityDuration": "1h", "certKeyBitSize": 4096.0}, spec["certificate"])
	flags := spec["featureFlags"].(map[string]any)
	require.Equal(t, false, flags["enableRetryPolicy"])
	require.Equal(t, true, flags["enableMeshRootCertificate"])
	require.NotContains(t, flags, "enableSPIFFE")
}

// admit does what the API server does to a MeshConfig: it adds defaults and refuses what the CRD does not allow.
func admit(t *testing.T, spec map[string]any) map[string]any {
	t.Helper()
	all, err := crds.All()
	require.NoError(t, err)
	for _, def := range all {
		if def.Name != "meshconfigs.config.openservicemesh.io" {
			continue
		}
		for _, v := range def.Spec.Versions {
			if v.Name != "v1alpha2" {
				continue
			}
			var props apiextensions.JSONSchemaProps
			require.NoError(t, apiext.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(v.Schema.OpenAPIV3Schema, &props, nil))
			structural, err := structuralschema.NewStructural(&props)
			require.NoError(t, err)
			object := map[string]any{"apiVersion": "config.openservicemesh.io/v1alpha2", "kind": "MeshConfig",
				"metadata": map[string]any{"name": names.MeshConfig, "namespace": "osm-system"}, "spec": runtime.DeepCopyJSON(spec)}
			defaulting.Default(object, structural)
			validator, _, err := validation.NewSchemaValidator(&props)
			require.NoError(t, err)
			require.Empty(t, validation.ValidateCustomResource(nil, object, validator))
			return object["spec"].(map[string]any)
		}
	}
	t.Fatal("no CRD of MeshConfig v1alpha2")
	return nil
}

func servicePorts(s corev1.Service) string {
	var out []string
	for _, p := range s.Spec.Ports {
		out = append(out, fmt.Sprintf("%s:%d", p.Name, p.Port))
	}
	return strings.Join(out, " ")
}

func TestServices(t *testing.T) {
	want := map[string][2]string{
		names.Controller: {"ads-port:15128 debug-port:9092 healthz:9091", names.Controller},
		names.Injector:   {"sidecar-inject:9090", names.Injector},
		names.Validator:  {"validator:9093", names.Controller},
		names.Bootstrap:  {"crdconversion:9443 health:9091", names.Bootstrap},
	}
	objs := objects(t, mustRender(t, renderOpts{}).Manifest)
	for name, w := range want {
		s := as[corev1.Service](t, find(t, objs, "Service", name))
		require.Equal(t, w[0], servicePorts(s), name)
		require.Equal(t, map[string]string{"app": w[1]}, s.Spec.Selector, name)
	}
	objs = objects(t, mustRender(t, renderOpts{namespace: "arc-osm-system", values: managed(t)}).Manifest)
	require.Equal(t, "crdconversion:9443 health:9095", servicePorts(as[corev1.Service](t, find(t, objs, "Service", names.Bootstrap))))
	require.Equal(t, false, preset(t, renderOpts{namespace: "arc-osm-system", values: managed(t)})["traffic"].(map[string]any)["enableEgress"])
	for _, o := range objs {
		if o.GetKind() != "ClusterRole" && o.GetKind() != "ClusterRoleBinding" {
			require.Equal(t, "arc-osm-system", o.GetNamespace(), o.GetName())
		}
	}
}

func TestDeployments(t *testing.T) {
	objs := objects(t, mustRender(t, renderOpts{release: "my-mesh", sets: []string{"osm.meshName=my-mesh", "osm.image.tag=v9"}}).Manifest)
	cases := map[string]struct {
		labels map[string]string
		ports  map[string]int32
		env    []string
		flags  []string
	}{
		names.Controller: {
			labels: map[string]string{"meshName": "my-mesh", "enforceSingleMesh": "true"},
			ports:  map[string]int32{"admin-port": 15000, "ads-port": 15128, "metrics": 9091},
			env:    []string{"CONTROLLER_POD_NAME"},
			flags:  []string{"--osm-service-account=my-mesh", "--validator-webhook-config=osm-validator-mesh-my-mesh", "--validate-traffic-target=true"},
		},
		names.Injector: {
			ports: map[string]int32{"sidecar-inject": 9090, "metrics": 9091},
			env: []string{"INJECTOR_POD_NAME", "OSM_DEFAULT_ENVOY_IMAGE=envoyproxy/envoy-distroless:v1.40.0",
				"OSM_DEFAULT_ENVOY_WINDOWS_IMAGE=envoyproxy/envoy-windows:v1.23.1", "OSM_DEFAULT_INIT_CONTAINER_IMAGE=openservicemesh/init:v9",
				"OSM_DEFAULT_HEALTHCHECK_CONTAINER_IMAGE=openservicemesh/osm-healthcheck:v9"},
			flags: []string{"--webhook-config-name=osm-webhook-my-mesh", "--webhook-timeout=20", "--osm-container-pull-policy=IfNotPresent", "--sidecar-mode=auto"},
		},
		names.Bootstrap: {
			ports: map[string]int32{"crdconversion": 9443, "health": 9091},
			env:   []string{"BOOTSTRAP_POD_NAME"},
			flags: []string{"--http-port=9091"},
		},
	}
	common := []string{"--verbosity=info", "--mesh-name=my-mesh", "--osm-namespace=osm-system", "--osm-config-name=osm-mesh-config",
		"--osm-version=v1.3.0-dev", "--certificate-manager=tresor", "--ca-bundle-secret-name=osm-ca-bundle", "--trust-domain=cluster.local",
		"--enable-reconciler=false"}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := as[appsv1.Deployment](t, find(t, objs, "Deployment", name))
			want := map[string]string{names.LabelApp: name, names.LabelAppName: names.AppName, names.LabelAppInstance: "my-mesh", names.LabelAppVersion: "v1.3.0-dev"}
			for k, v := range c.labels {
				want[k] = v
			}
			require.Equal(t, want, d.Labels)
			require.Equal(t, "system-node-critical", d.Spec.Template.Spec.PriorityClassName)
			require.Equal(t, "my-mesh", d.Spec.Template.Spec.ServiceAccountName)
			require.Equal(t, "true", d.Spec.Template.Annotations[names.AnnotationScrape])
			require.Equal(t, "9091", d.Spec.Template.Annotations[names.AnnotationScrapePort])
			require.Empty(t, d.Spec.Template.Spec.InitContainers)
			container := d.Spec.Template.Spec.Containers[0]
			require.Equal(t, "openservicemesh/"+name+":v9", container.Image)
			require.Equal(t, []string{"/" + name}, container.Command)
			require.Equal(t, append(slices.Clone(common), c.flags...), container.Args)
			ports := map[string]int32{}
			for _, p := range container.Ports {
				ports[p.Name] = p.ContainerPort
			}
			require.Equal(t, c.ports, ports)
			var env []string
			for _, e := range container.Env {
				env = append(env, strings.TrimSuffix(e.Name+"="+e.Value, "="))
			}
			require.Equal(t, c.env, env)
			require.EqualValues(t, 5, container.ReadinessProbe.TimeoutSeconds)
		})
	}
}

func TestSecurityContext(t *testing.T) {
	user, group, fsGroup := int64(1000), int64(3000), int64(2000)
	get := func(apis ...string) *corev1.PodSecurityContext {
		rel := mustRender(t, renderOpts{apiVersions: apis})
		return as[appsv1.Deployment](t, find(t, objects(t, rel.Manifest), "Deployment", names.Controller)).Spec.Template.Spec.SecurityContext
	}
	sc := get()
	require.Equal(t, []any{&user, &group, &fsGroup, []int64{5555}}, []any{sc.RunAsUser, sc.RunAsGroup, sc.FSGroup, sc.SupplementalGroups})
	sc = get("security.openshift.io/v1")
	require.Nil(t, sc.RunAsUser)
	require.Nil(t, sc.FSGroup)
}

func TestImages(t *testing.T) {
	for name, c := range map[string]struct{ set, want string }{
		"default":        {"osm.image.pullPolicy=Always", "openservicemesh/osm-controller:v1.3.0-dev"},
		"tag":            {"osm.image.tag=v1.2.4", "openservicemesh/osm-controller:v1.2.4"},
		"number as tag":  {"osm.image.tag=7", "openservicemesh/osm-controller:7"},
		"registry":       {"osm.image.registry=localhost:5000/mesh/", "localhost:5000/mesh/osm-controller:v1.3.0-dev"},
		"name":           {"osm.image.name.osmController=ctl", "openservicemesh/ctl:v1.3.0-dev"},
		"digest alone":   {"osm.image.digest.osmController=" + someDigest, "openservicemesh/osm-controller@" + someDigest},
		"digest and tag": {"osm.image.tag=v1,osm.image.digest.osmController=" + someDigest, "openservicemesh/osm-controller:v1@" + someDigest},
	} {
		t.Run(name, func(t *testing.T) {
			objs := objects(t, mustRender(t, renderOpts{sets: []string{c.set}}).Manifest)
			d := as[appsv1.Deployment](t, find(t, objs, "Deployment", names.Controller))
			require.Equal(t, c.want, d.Spec.Template.Spec.Containers[0].Image)
		})
	}
}

// allows tells whether a role grants a verb on a resource without naming objects.
func allows(rules []rbacv1.PolicyRule, verb, group, resource string) bool {
	return slices.ContainsFunc(rules, func(r rbacv1.PolicyRule) bool {
		return slices.Contains(r.Verbs, verb) && slices.Contains(r.APIGroups, group) && slices.Contains(r.Resources, resource) && len(r.ResourceNames) == 0
	})
}

// A kind that is added to the API without a rule for it would be invisible to the control plane.
func TestRBACCoversKinds(t *testing.T) {
	objs := objects(t, mustRender(t, renderOpts{}).Manifest)
	role := as[rbacv1.ClusterRole](t, find(t, objs, "ClusterRole", "osm"))
	var crdNames []string
	for _, k := range scheme.Kinds() {
		if !k.Served || !k.Storage {
			continue
		}
		crdNames = append(crdNames, k.CRDName())
		for _, verb := range []string{"get", "list", "watch"} {
			require.True(t, allows(role.Rules, verb, k.Group, k.Plural), "%s %s.%s", verb, k.Plural, k.Group)
		}
		if k.HasStatus {
			require.True(t, allows(role.Rules, "patch", k.Group, k.Plural+"/status"), "status of %s.%s", k.Plural, k.Group)
		}
	}
	slices.Sort(crdNames)
	for _, r := range role.Rules {
		if slices.Contains(r.Resources, "customresourcedefinitions") && slices.Contains(r.Verbs, "update") {
			require.Equal(t, crdNames, r.ResourceNames, "templates/_crds.tpl lists the CRDs of api/crds")
			return
		}
	}
	t.Fatal("no rule to update CRDs")
}

// The control plane reads no Secret of the cluster, and in its own namespace only its own.
func TestRBACLeast(t *testing.T) {
	objs := objects(t, text(mustRender(t, renderOpts{})))
	for _, o := range objs {
		switch o.GetKind() {
		case "ClusterRole":
			for _, r := range as[rbacv1.ClusterRole](t, o).Rules {
				for _, wide := range []string{"*", "secrets", "configmaps", "pods/exec", "pods/portforward", "clusterroles"} {
					require.NotContains(t, r.Resources, wide, o.GetName())
				}
				require.NotContains(t, r.Verbs, "*", o.GetName())
				require.NotContains(t, r.APIGroups, "*", o.GetName())
			}
		case "Role":
			role := as[rbacv1.Role](t, o)
			if role.Name == "osm" {
				require.False(t, allows(role.Rules, "get", "", "secrets"))
				require.False(t, allows(role.Rules, "list", "", "secrets"))
			}
		}
	}
}

// What certificate providers need is granted with them alone.
func TestRBACOfProviders(t *testing.T) {
	for set, want := range map[string][2]bool{ // may create CertificateRequests, may read the token's Secret
		"osm.vault.secret.name=token": {},
		"osm.certificateProvider.kind=vault,osm.vault.host=v,osm.vault.secret.name=token,osm.vault.secret.key=k": {1: true},
		"osm.certificateProvider.kind=vault,osm.vault.host=v,osm.vault.token=t":                                  {},
		"osm.certificateProvider.kind=cert-manager,osm.vault.secret.name=token":                                  {0: true},
	} {
		t.Run(set, func(t *testing.T) {
			role := as[rbacv1.Role](t, find(t, objects(t, mustRender(t, renderOpts{sets: []string{set}}).Manifest), "Role", "osm"))
			require.Equal(t, want[0], allows(role.Rules, "create", "cert-manager.io", "certificaterequests"))
			require.Equal(t, want[1], slices.ContainsFunc(role.Rules, func(r rbacv1.PolicyRule) bool {
				return slices.Contains(r.ResourceNames, "token") && slices.Equal(r.Verbs, []string{"get"})
			}))
		})
	}
}

func TestHooks(t *testing.T) {
	rel := mustRender(t, renderOpts{release: "m", sets: []string{"osm.meshName=m"}})
	jobs := map[string]string{}
	for _, h := range rel.Hooks {
		if h.Kind == "Job" {
			jobs[h.Name] = string(h.Events[0])
			require.Contains(t, h.Manifest, "activeDeadlineSeconds: 120", "a hook that cannot run does not hang")
		}
		require.NotEmpty(t, h.DeletePolicies, h.Name)
	}
	require.Equal(t, map[string]string{"m-preinstall": "pre-install", "m-cleanup": "post-delete"}, jobs)
}
