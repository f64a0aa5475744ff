package tlsparams

import (
	"testing"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/core/snapshot"
)

func TestCompile(t *testing.T) {
	const ecdsa, rsa = "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"
	for _, c := range []struct {
		name     string
		in, want snapshot.TLSParams
		says     []string
	}{
		{"nothing", snapshot.TLSParams{}, snapshot.TLSParams{}, nil},
		{"defaults", snapshot.TLSParams{MinVersion: "TLSv1_2", MaxVersion: "TLSv1_3"}, snapshot.TLSParams{MinVersion: "TLSv1_2", MaxVersion: "TLSv1_3"}, nil},
		{"auto", snapshot.TLSParams{MinVersion: "TLS_AUTO", MaxVersion: "TLSv1_2"}, snapshot.TLSParams{MinVersion: "TLS_AUTO", MaxVersion: "TLSv1_2"}, nil},
		{"unknown version", snapshot.TLSParams{MinVersion: "1.2", MaxVersion: "TLSv1_3"}, snapshot.TLSParams{MaxVersion: "TLSv1_3"}, []string{`tlsMinProtocolVersion: "1.2" is no version`}},
		{"maximum below minimum", snapshot.TLSParams{MinVersion: "TLSv1_3", MaxVersion: "TLSv1_1"}, snapshot.TLSParams{MinVersion: "TLSv1_3", MaxVersion: "TLSv1_3"},
			[]string{"TLSv1_1 is below the minimum TLSv1_3"}},
		{"words", snapshot.TLSParams{CipherSuites: []string{"ROT13", ecdsa, "[" + ecdsa + "|x]"}, Curves: []string{"P-256", "p-256"}},
			snapshot.TLSParams{CipherSuites: []string{ecdsa}, Curves: []string{"P-256"}}, []string{`ecdhCurves[1]: "p-256"`, `cipherSuites[0]: "ROT13"`, `cipherSuites[2]`}},
		{"equal preference", snapshot.TLSParams{CipherSuites: []string{"[" + ecdsa + "|" + rsa + "]"}}, snapshot.TLSParams{CipherSuites: []string{"[" + ecdsa + "|" + rsa + "]"}}, nil},
		{"RSA alone below TLS 1.3", snapshot.TLSParams{MaxVersion: "TLSv1_2", CipherSuites: []string{rsa}}, snapshot.TLSParams{MaxVersion: "TLSv1_2"}, []string{"works with the mesh's ECDSA certificates"}},
		{"RSA alone, but TLS 1.3 is there", snapshot.TLSParams{MaxVersion: "TLSv1_3", CipherSuites: []string{rsa}}, snapshot.TLSParams{MaxVersion: "TLSv1_3", CipherSuites: []string{rsa}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, findings := Compile(c.in, "osm-system")
			require.Equal(t, c.want, got)
			require.Len(t, findings, len(c.says))
			for i, f := range findings {
				require.Contains(t, f.Message, c.says[i])
				require.Equal(t, snapshot.ObjectRef{Kind: "MeshConfig", Namespace: "osm-system", Name: "osm-mesh-config"}, f.Object)
			}
		})
	}
}
