package meshconfig

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	config "openservicemesh.io/osm/api/config/v1alpha2"
)

func TestUnsupported(t *testing.T) {
	for spec, want := range map[string]string{
		`{}`: "",
		`{"traffic":{"enableEgress":true},"featureFlags":{"enableWASMStats":true,"enableEgressPolicy":true}}`: "",
		`{"traffic":{"inboundExternalAuthorization":{"enable":true}}}`:                                        "spec.traffic.inboundExternalAuthorization.enable",
		`{"observability":{"tracing":{"enable":true}}}`:                                                       "spec.observability.tracing.enable",
		`{"featureFlags":{"enableEnvoyActiveHealthChecks":true}}`:                                             "spec.featureFlags.enableEnvoyActiveHealthChecks",
		`{"featureFlags":{"enableRetryPolicy":true}}`:                                                         "spec.featureFlags.enableRetryPolicy",
		`{"featureFlags":{"enableMeshRootCertificate":true}}`:                                                 "spec.featureFlags.enableMeshRootCertificate",
	} {
		var c config.MeshConfig
		require.NoError(t, json.Unmarshal([]byte(`{"metadata":{"namespace":"n","name":"m"},"spec":`+spec+`}`), &c))
		got := Unsupported(&c)
		if want == "" {
			require.Empty(t, got, spec)
			continue
		}
		require.Len(t, got, 1, spec)
		require.Contains(t, got[0].Message, want+":")
		require.Equal(t, "MeshConfig n/m", got[0].Object.String())
	}
}

func TestIngressGateway(t *testing.T) {
	for spec, want := range map[string]string{
		`{"subjectAltNames":["a.b","c"],"validityDuration":"24h","secret":{"name":"n","namespace":"ns"}}`: "",
		`{"subjectAltNames":["a"],"validityDuration":"1s","secret":{"name":"n","namespace":"ns"}}`:        "",
		`{"subjectAltNames":["a"],"validityDuration":"24h","secret":{"name":"n"}}`:                        "secret.name and secret.namespace",
		`{"validityDuration":"24h","secret":{"name":"n","namespace":"ns"}}`:                               "subjectAltNames is empty",
		`{"subjectAltNames":["a","*.b"],"validityDuration":"24h","secret":{"name":"n","namespace":"ns"}}`: "subjectAltNames[1]:",
		`{"subjectAltNames":["a,b"],"validityDuration":"24h","secret":{"name":"n","namespace":"ns"}}`:     "subjectAltNames[0]:",
		`{"subjectAltNames":["a"],"validityDuration":"soon","secret":{"name":"n","namespace":"ns"}}`:      `validityDuration: "soon"`,
		`{"subjectAltNames":["a"],"validityDuration":"-1h","secret":{"name":"n","namespace":"ns"}}`:       `validityDuration: "-1h"`,
	} {
		var c config.MeshConfig
		require.NoError(t, json.Unmarshal([]byte(`{"spec":{"certificate":{"ingressGateway":`+spec+`}}}`), &c))
		got := Check(&c)
		if want == "" {
			require.Empty(t, got, spec)
			d, err := IngressGateway(c.Spec.Certificate.IngressGateway)
			require.NoError(t, err)
			require.GreaterOrEqual(t, d.Minutes(), 10.0)
			continue
		}
		require.Len(t, got, 1, spec)
		require.Contains(t, got[0].Message, want)
	}
	require.Empty(t, Check(&config.MeshConfig{}))
}
