package meshconfig

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	config "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/internal/core/snapshot"
)

func TestTracing(t *testing.T) {
	for spec, want := range map[string]struct {
		got      *snapshot.Tracing
		findings []string
	}{
		`{}`:                          {},
		`{"address":"a b","port":-1}`: {},
		`{"enable":true}`:             {got: &snapshot.Tracing{Address: "jaeger.osm-system.svc.cluster.local", Port: 9411, Path: "/api/v2/spans"}},
		`{"enable":true,"address":"10.0.0.1","port":65535,"endpoint":"/x?y=z"}`: {got: &snapshot.Tracing{Address: "10.0.0.1", Port: 65535, Path: "/x?y=z"}},
		`{"enable":true,"address":"http://x"}`: {findings: []string{
			`spec.observability.tracing.address: "http://x" is neither a host name nor an IP address; no spans are sent`}},
		`{"enable":true,"port":65536,"endpoint":"/a\r\nb"}`: {findings: []string{
			`spec.observability.tracing.port: 65536 is not a port; use 1 to 65535; no spans are sent`,
			`spec.observability.tracing.endpoint: "/a\r\nb" is not the path of a URL; write one such as /api/v2/spans; no spans are sent`}},
	} {
		var c config.MeshConfig
		require.NoError(t, json.Unmarshal([]byte(`{"metadata":{"namespace":"osm-system","name":"m"},"spec":{"observability":{"tracing":`+spec+`}}}`), &c))
		require.Equal(t, want.got, Tracing(&c), spec)
		var texts []string
		for _, f := range Check(&c) {
			require.Equal(t, snapshot.Error, f.Severity)
			require.Equal(t, "InvalidTracing", f.Reason)
			texts = append(texts, f.Message)
		}
		require.Equal(t, want.findings, texts, spec)
	}
}
