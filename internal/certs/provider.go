package certs

import (
	"fmt"

	"github.com/spf13/pflag"

	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/pki"
	"openservicemesh.io/osm/internal/obs/errcode"
)

// Kinds of certificate provider, the values of --certificate-manager.
const (
	ProviderTresor      = "tresor"
	ProviderVault       = "vault"
	ProviderCertManager = "cert-manager"
)

// Provider holds the certificate flags that osm-controller, osm-injector and osm-bootstrap share.
type Provider struct {
	Kind               string
	CABundleSecretName string
	TrustDomain        string

	VaultProtocol, VaultHost, VaultToken, VaultRole string
	VaultPort                                       int
	VaultTokenSecretName, VaultTokenSecretKey       string

	CertManagerIssuerName, CertManagerIssuerKind, CertManagerIssuerGroup string
}

// Bind declares the flags on fs, with the original's names and defaults.
func (p *Provider) Bind(fs *pflag.FlagSet) {
	fs.StringVar(&p.Kind, "certificate-manager", ProviderTresor, "certificate provider: tresor (vault and cert-manager are not available in this version)")
	fs.StringVar(&p.CABundleSecretName, "ca-bundle-secret-name", names.CABundleSecret, "Secret that holds the mesh's root certificate and key")
	fs.StringVar(&p.TrustDomain, "trust-domain", names.DefaultTrustDomain, "last part of every workload's principal")
	fs.StringVar(&p.VaultProtocol, "vault-protocol", "http", "protocol of the Vault server")
	fs.StringVar(&p.VaultHost, "vault-host", "vault.default.svc.cluster.local", "host name of the Vault server")
	fs.StringVar(&p.VaultToken, "vault-token", "", "token for the Vault server")
	fs.StringVar(&p.VaultRole, "vault-role", "openservicemesh", "role on the Vault server")
	fs.IntVar(&p.VaultPort, "vault-port", 8200, "port of the Vault server")
	fs.StringVar(&p.VaultTokenSecretName, "vault-token-secret-name", "", "Secret that holds the Vault token")
	fs.StringVar(&p.VaultTokenSecretKey, "vault-token-secret-key", "", "key of the Vault token in its Secret")
	fs.StringVar(&p.CertManagerIssuerName, "cert-manager-issuer-name", "osm-ca", "name of the cert-manager issuer")
	fs.StringVar(&p.CertManagerIssuerKind, "cert-manager-issuer-kind", "Issuer", "kind of the cert-manager issuer")
	fs.StringVar(&p.CertManagerIssuerGroup, "cert-manager-issuer-group", "cert-manager.io", "API group of the cert-manager issuer")
}

// Check refuses a provider this version cannot use. It never falls back to another: a mesh whose certificates come from
// an unexpected root is worse than one that does not start.
func (p *Provider) Check() error {
	switch p.Kind {
	case ProviderTresor:
		return checkTrustDomain(p.TrustDomain)
	case ProviderVault, ProviderCertManager:
		return errcode.Errorf(errcode.InvalidCLIArgument,
			"--certificate-manager %q (chart value osm.certificateProvider.kind) is not available in this version: use %q",
			p.Kind, ProviderTresor)
	}
	return errcode.Errorf(errcode.InvalidCLIArgument,
		"--certificate-manager %q (chart value osm.certificateProvider.kind) is unknown: want %s, %s or %s",
		p.Kind, ProviderTresor, ProviderVault, ProviderCertManager)
}

func checkTrustDomain(td string) error {
	if err := pki.CheckDNSName(td); err != nil {
		return errcode.Errorf(errcode.InvalidCLIArgument, "--trust-domain (chart value osm.trustDomain): %w", err)
	}
	return nil
}

// String names the provider for logs; it never shows a token.
func (p *Provider) String() string { return fmt.Sprintf("%s (trust domain %s)", p.Kind, p.TrustDomain) }
