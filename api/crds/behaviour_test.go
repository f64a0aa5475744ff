package crds_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	apiext "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestDefaults(t *testing.T) {
	server := newAPIServer(t)
	for _, test := range []struct{ name, in, want string }{
		{
			name: "MeshConfig",
			in: `
apiVersion: config.openservicemesh.io/v1alpha2
kind: MeshConfig
metadata: {name: osm-mesh-config}
spec: {sidecar: {}, traffic: {inboundExternalAuthorization: {}}}`,
			want: `
apiVersion: config.openservicemesh.io/v1alpha2
kind: MeshConfig
metadata: {name: osm-mesh-config}
spec:
  sidecar: {tlsMinProtocolVersion: TLSv1_2, tlsMaxProtocolVersion: TLSv1_3, localProxyMode: Localhost}
  traffic: {inboundExternalAuthorization: {statPrefix: inboundExtAuthz, timeout: 1s}}`,
		},
		{
			name: "MeshRootCertificate",
			in: `
apiVersion: config.openservicemesh.io/v1alpha2
kind: MeshRootCertificate
metadata: {name: x}
spec: {role: active, provider: {tresor: {ca: {secretRef: {name: a, namespace: b}}}}}`,
			want: `
apiVersion: config.openservicemesh.io/v1alpha2
kind: MeshRootCertificate
metadata: {name: x}
spec: {trustDomain: cluster.local, spiffeEnabled: false, role: active, provider: {tresor: {ca: {secretRef: {name: a, namespace: b}}}}}`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := server.create(parse(t, []byte(test.in)))
			require.NoError(t, err)
			require.Empty(t, cmp.Diff(parse(t, []byte(test.want)), got))
		})
	}
}

// TestNoOtherFieldHasADefault: a default added later changes objects that are
// stored already, and what `kubectl diff` says about users' manifests.
func TestNoOtherFieldHasADefault(t *testing.T) {
	const config = "meshconfigs.config.openservicemesh.io/"
	const authorization = ".spec.traffic.inboundExternalAuthorization."
	want := map[string]string{
		config + "v1alpha2.spec.sidecar.tlsMinProtocolVersion":                       `"TLSv1_2"`,
		config + "v1alpha2.spec.sidecar.tlsMaxProtocolVersion":                       `"TLSv1_3"`,
		config + "v1alpha2.spec.sidecar.localProxyMode":                              `"Localhost"`,
		config + "v1alpha2" + authorization + "statPrefix":                           `"inboundExtAuthz"`,
		config + "v1alpha2" + authorization + "timeout":                              `"1s"`,
		config + "v1alpha1" + authorization + "statPrefix":                           `"inboundExtAuthz"`,
		config + "v1alpha1" + authorization + "timeout":                              `"1s"`,
		"meshrootcertificates.config.openservicemesh.io/v1alpha2.spec.trustDomain":   `"cluster.local"`,
		"meshrootcertificates.config.openservicemesh.io/v1alpha2.spec.spiffeEnabled": `false`,
	}
	got := map[string]string{}
	for _, def := range all(t) {
		for _, v := range def.Spec.Versions {
			walk(def.Name+"/"+v.Name, v.Schema.OpenAPIV3Schema, func(path string, s *apiext.JSONSchemaProps) {
				if s.Default != nil {
					got[path] = string(s.Default.Raw)
				}
			})
		}
	}
	require.Equal(t, want, got)
}

// TestV1alpha1KeepsTheFieldsOfV1alpha2: without a conversion the API server
// prunes by the schema of the version that a request names. A patch through the
// deprecated version must not take settings away that only the newer one knows.
func TestV1alpha1KeepsTheFieldsOfV1alpha2(t *testing.T) {
	server := newAPIServer(t)
	for _, m := range manifests(t) {
		if m.name != "meshconfig/every-field" && m.name != "meshconfig/default-install" {
			continue
		}
		object := parse(t, m.document)
		object["apiVersion"] = "config.openservicemesh.io/v1alpha1"
		got, err := server.create(object)
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(object, got), m.name)
	}
}

// TestVersionsNotServedKeepEverything: they are there for stored objects only.
// TestSplitsOfEveryVersionAreOneObject: the versions differ in name alone, so nothing is lost without conversion.
func TestSplitsOfEveryVersionAreOneObject(t *testing.T) {
	server := newAPIServer(t)
	for _, version := range []string{"v1alpha2", "v1alpha3", "v1alpha4"} {
		v, ok := server.versions[schema.GroupVersionKind{Group: "split.smi-spec.io", Version: version, Kind: "TrafficSplit"}]
		require.True(t, ok && v.served, version)
		text := "{apiVersion: split.smi-spec.io/" + version + ", kind: TrafficSplit, metadata: {name: x}, spec: {service: s, " +
			"matches: [{apiGroup: specs.smi-spec.io, kind: HTTPRouteGroup, name: g}], backends: [{service: a, weight: 1}]}}"
		object := parse(t, []byte(text))
		pruning.Prune(object, v.structural, true)
		require.Empty(t, cmp.Diff(parse(t, []byte(text)), object), version)
	}
}

func TestVersionsNotServedKeepEverything(t *testing.T) {
	server := newAPIServer(t)
	n := 0
	for gvk, v := range server.versions {
		if v.served {
			continue
		}
		n++
		object := parse(t, []byte("{apiVersion: x/v1, kind: X, metadata: {name: x}, matches: [{any: thing}], spec: {odd: 1}}"))
		want := parse(t, []byte("{apiVersion: x/v1, kind: X, metadata: {name: x}, matches: [{any: thing}], spec: {odd: 1}}"))
		pruning.Prune(object, v.structural, true)
		require.Empty(t, cmp.Diff(want, object), gvk)
	}
	require.Equal(t, 8, n)
	require.Contains(t, server.versions, schema.GroupVersionKind{Group: "specs.smi-spec.io", Version: "v1alpha3", Kind: "TCPRoute"})
}
