package certs

import (
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/obs/errcode"
)

func TestProvider(t *testing.T) {
	tests := map[string]struct {
		args []string
		want string
	}{
		"defaults":         {nil, ""},
		"tresor":           {[]string{"--certificate-manager=tresor", "--trust-domain=mesh.example.com"}, ""},
		"vault":            {[]string{"--certificate-manager=vault", "--vault-token=hunter2"}, `"vault" (chart value osm.certificateProvider.kind) is not available in this version: use "tresor"`},
		"cert-manager":     {[]string{"--certificate-manager=cert-manager"}, "is not available in this version"},
		"unknown":          {[]string{"--certificate-manager=Tresor"}, `"Tresor" (chart value osm.certificateProvider.kind) is unknown`},
		"empty":            {[]string{"--certificate-manager="}, "is unknown"},
		"odd trust domain": {[]string{"--trust-domain=Cluster.local"}, "--trust-domain (chart value osm.trustDomain)"},
		"no trust domain":  {[]string{"--trust-domain="}, "--trust-domain"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var p Provider
			fs := pflag.NewFlagSet("x", pflag.ContinueOnError)
			p.Bind(fs)
			require.NoError(t, fs.Parse(tt.args))
			err := p.Check()
			require.NotContains(t, p.String(), "hunter2")
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, err.Error(), "hunter2")
			require.Equal(t, errcode.InvalidCLIArgument, errcode.Of(err))
		})
	}
}
