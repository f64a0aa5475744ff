package meshconfig

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	config "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/internal/core/snapshot"
)

func TestUnsupported(t *testing.T) {
	for spec, want := range map[string]string{
		`{}`: "",
		`{"traffic":{"enableEgress":true},"featureFlags":{"enableWASMStats":true,"enableEgressPolicy":true}}`: "",
		`{"observability":{"tracing":{"enable":true}}}`:                                                       "",
		`{"featureFlags":{"enableEnvoyActiveHealthChecks":true}}`:                                             "spec.featureFlags.enableEnvoyActiveHealthChecks",
		`{"featureFlags":{"enableRetryPolicy":true}}`:                                                         "",
		`{"featureFlags":{"enableMeshRootCertificate":true}}`:                                                 "",
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

func TestExternalAuthorization(t *testing.T) {
	for spec, want := range map[string]struct {
		got      *snapshot.ExternalAuthorization
		findings []string
	}{
		`{}`: {},
		`{"enable":true,"address":"opa.authz","port":9191}`: {
			got: &snapshot.ExternalAuthorization{Address: "opa.authz", Port: 9191, StatPrefix: "inboundExtAuthz", Timeout: time.Second}},
		`{"enable":true,"address":"fd00::1","port":1,"statPrefix":"x","timeout":"20ms","failureModeAllow":true}`: {
			got: &snapshot.ExternalAuthorization{Address: "fd00::1", Port: 1, StatPrefix: "x", Timeout: 20 * time.Millisecond, FailOpen: true}},
		`{"enable":true,"timeout":"soon"}`: {
			got: &snapshot.ExternalAuthorization{StatPrefix: "inboundExtAuthz", Timeout: time.Second},
			findings: []string{
				`spec.traffic.inboundExternalAuthorization.address: "" is neither a host name nor an IP address; until then every inbound HTTP request is answered 403`,
				`spec.traffic.inboundExternalAuthorization.port: 0 is not a port; use 1 to 65535; until then every inbound HTTP request is answered 403`,
				`spec.traffic.inboundExternalAuthorization.timeout: "soon" is not a duration above 0 and up to an hour, such as 500ms; 1s is used`}},
		`{"enable":true,"address":"a_b","port":70000,"timeout":"2h","failureModeAllow":true}`: {
			got: &snapshot.ExternalAuthorization{StatPrefix: "inboundExtAuthz", Timeout: time.Second, FailOpen: true},
			findings: []string{
				`spec.traffic.inboundExternalAuthorization.address: "a_b" is neither a host name nor an IP address; until then every inbound HTTP request passes, since failureModeAllow is true`,
				`spec.traffic.inboundExternalAuthorization.port: 70000 is not a port; use 1 to 65535; until then every inbound HTTP request passes, since failureModeAllow is true`,
				`spec.traffic.inboundExternalAuthorization.timeout: "2h" is not a duration above 0 and up to an hour, such as 500ms; 1s is used`}},
	} {
		var c config.MeshConfig
		require.NoError(t, json.Unmarshal([]byte(`{"spec":{"traffic":{"inboundExternalAuthorization":`+spec+`}}}`), &c))
		require.Equal(t, want.got, ExternalAuthorization(&c), spec)
		var texts []string
		for _, f := range Check(&c) {
			require.Equal(t, snapshot.Error, f.Severity)
			texts = append(texts, f.Message)
		}
		require.Equal(t, want.findings, texts, spec)
	}
}
