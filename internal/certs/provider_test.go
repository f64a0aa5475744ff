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
		"vault":            {[]string{"--certificate-manager=vault", "--vault-token=hunter2"}, ""},
		"vault, Secret":    {[]string{"--certificate-manager=vault", "--vault-token-secret-name=a", "--vault-token-secret-key=b"}, ""},
		"no token":         {[]string{"--certificate-manager=vault"}, "there is no token for Vault"},
		"no token key":     {[]string{"--certificate-manager=vault", "--vault-token-secret-name=a"}, `name the key of Secret "a" that holds the token`},
		"no host":          {[]string{"--certificate-manager=vault", "--vault-token=hunter2", "--vault-host="}, `--vault-host "" (chart value osm.vault.host)`},
		"host is a URL":    {[]string{"--certificate-manager=vault", "--vault-token=hunter2", "--vault-host=http://a"}, `--vault-host "http://a"`},
		"port":             {[]string{"--certificate-manager=vault", "--vault-token=hunter2", "--vault-port=0"}, "--vault-port 0"},
		"protocol":         {[]string{"--certificate-manager=vault", "--vault-token=hunter2", "--vault-protocol=tcp"}, `--vault-protocol "tcp"`},
		"role":             {[]string{"--certificate-manager=vault", "--vault-token=hunter2", "--vault-role="}, "--vault-role is empty"},
		"cert-manager":     {[]string{"--certificate-manager=cert-manager"}, ""},
		"cluster issuer":   {[]string{"--certificate-manager=cert-manager", "--cert-manager-issuer-kind=ClusterIssuer"}, ""},
		"other issuer":     {[]string{"--certificate-manager=cert-manager", "--cert-manager-issuer-kind=AWSPCAIssuer", "--cert-manager-issuer-group=awspca.cert-manager.io"}, ""},
		"odd issuer kind":  {[]string{"--certificate-manager=cert-manager", "--cert-manager-issuer-kind=issuer"}, `--cert-manager-issuer-kind "issuer" (chart value osm.certmanager.issuerKind): want Issuer or ClusterIssuer`},
		"no issuer name":   {[]string{"--certificate-manager=cert-manager", "--cert-manager-issuer-name="}, "--cert-manager-issuer-name is empty"},
		"no issuer kind":   {[]string{"--certificate-manager=cert-manager", "--cert-manager-issuer-kind="}, "--cert-manager-issuer-kind is empty"},
		"no issuer group":  {[]string{"--certificate-manager=cert-manager", "--cert-manager-issuer-group="}, "--cert-manager-issuer-group is empty"},
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
