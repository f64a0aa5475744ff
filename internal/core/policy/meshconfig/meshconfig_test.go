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
		`{"certificate":{"ingressGateway":{}}}`:                                                               "spec.certificate.ingressGateway",
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
