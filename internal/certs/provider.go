package certs

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"

	"openservicemesh.io/osm/internal/certs/certmanager"
	"openservicemesh.io/osm/internal/certs/remote"
	"openservicemesh.io/osm/internal/certs/signer"
	"openservicemesh.io/osm/internal/certs/tresor"
	"openservicemesh.io/osm/internal/certs/vault"
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

// certManagerGroup is that of cert-manager's own issuers.
const certManagerGroup = "cert-manager.io"

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
	fs.StringVar(&p.Kind, "certificate-manager", ProviderTresor, "certificate provider: tresor, vault or cert-manager")
	fs.StringVar(&p.CABundleSecretName, "ca-bundle-secret-name", names.CABundleSecret, "Secret that holds the mesh's root certificate, and with tresor its key")
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

// Check names the first flag that cannot be used. It never falls back to another provider: a mesh whose certificates come from
// an unexpected root is worse than one that does not start.
func (p *Provider) Check() error {
	if err := checkTrustDomain(p.TrustDomain); err != nil {
		return err
	}
	switch p.Kind {
	case ProviderTresor:
		return nil
	case ProviderVault:
		return p.checkVault()
	case ProviderCertManager:
		return p.checkCertManager()
	}
	return invalid("--certificate-manager %q (chart value osm.certificateProvider.kind) is unknown: want %s, %s or %s",
		p.Kind, ProviderTresor, ProviderVault, ProviderCertManager)
}

func invalid(format string, args ...any) error {
	return errcode.Errorf(errcode.InvalidCLIArgument, format, args...)
}

func (p *Provider) checkVault() error {
	switch {
	case p.VaultProtocol != "http" && p.VaultProtocol != "https":
		return invalid("--vault-protocol %q (chart value osm.vault.protocol): want http or https", p.VaultProtocol)
	case p.VaultHost == "" || strings.ContainsAny(p.VaultHost, "/ @?#"):
		return invalid("--vault-host %q (chart value osm.vault.host): want the host name or address of the Vault server alone", p.VaultHost)
	case p.VaultPort < 1 || p.VaultPort > 65535:
		return invalid("--vault-port %d (chart value osm.vault.port): want 1 to 65535", p.VaultPort)
	case p.VaultRole == "":
		return invalid("--vault-role is empty (chart value osm.vault.role): name the role of the PKI engine that issues certificates")
	case p.VaultTokenSecretName != "" && p.VaultTokenSecretKey == "":
		return invalid("--vault-token-secret-key is empty (chart value osm.vault.secret.key): name the key of Secret %q that holds the token", p.VaultTokenSecretName)
	case p.VaultTokenSecretName == "" && p.VaultToken == "":
		return invalid("there is no token for Vault: give --vault-token-secret-name and --vault-token-secret-key (chart values osm.vault.secret.name and .key), " +
			"or --vault-token (osm.vault.token)")
	}
	return nil
}

func (p *Provider) checkCertManager() error {
	switch {
	case p.CertManagerIssuerName == "":
		return invalid("--cert-manager-issuer-name is empty (chart value osm.certmanager.issuerName): name the issuer")
	case p.CertManagerIssuerGroup == "":
		return invalid("--cert-manager-issuer-group is empty (chart value osm.certmanager.issuerGroup): want %s, or the group of an external issuer", certManagerGroup)
	case p.CertManagerIssuerKind == "":
		return invalid("--cert-manager-issuer-kind is empty (chart value osm.certmanager.issuerKind): want Issuer or ClusterIssuer")
	case p.CertManagerIssuerGroup == certManagerGroup && p.CertManagerIssuerKind != "Issuer" && p.CertManagerIssuerKind != "ClusterIssuer":
		return invalid("--cert-manager-issuer-kind %q (chart value osm.certmanager.issuerKind): want Issuer or ClusterIssuer", p.CertManagerIssuerKind)
	}
	return nil
}

// Access is what a provider needs of the program it works in.
type Access struct {
	// Secrets are those of Namespace.
	Secrets             Secrets
	Dynamic             dynamic.Interface
	Namespace, MeshName string
	// ServerName is the first name that the program needs a certificate for.
	ServerName string
	Log        *slog.Logger
}

// Signer is the provider that the flags ask for.
func (p *Provider) Signer(a Access) signer.Provider {
	switch p.Kind {
	case ProviderVault:
		return remote.New(vault.New(vault.Options{
			Protocol: p.VaultProtocol, Host: p.VaultHost, Port: p.VaultPort, Role: p.VaultRole, Credentials: p.credentials(a),
		}), a.ServerName)
	case ProviderCertManager:
		return remote.New(certmanager.New(certmanager.Options{
			Dynamic: a.Dynamic, Namespace: a.Namespace, MeshName: a.MeshName, Log: a.Log,
			Issuer: certmanager.Issuer{Name: p.CertManagerIssuerName, Kind: p.CertManagerIssuerKind, Group: p.CertManagerIssuerGroup},
		}), a.ServerName)
	}
	return tresor.Provider{}
}

// credentials reads the token from its Secret each time: that is one small request beside one to Vault, and a new token counts at
// once.
func (p *Provider) credentials(a Access) func(context.Context) (vault.Credentials, error) {
	return func(ctx context.Context) (vault.Credentials, error) {
		if p.VaultTokenSecretName == "" {
			return vault.Credentials{Token: p.VaultToken}, nil
		}
		where := a.Namespace + "/" + p.VaultTokenSecretName
		s, err := a.Secrets.Get(ctx, p.VaultTokenSecretName, metav1.GetOptions{})
		if err != nil {
			return vault.Credentials{}, errcode.Errorf(errcode.FetchingCertSecret, "cannot read the token's Secret %s (chart value osm.vault.secret.name): %w", where, err)
		}
		token := strings.TrimSpace(string(s.Data[p.VaultTokenSecretKey]))
		if token == "" {
			return vault.Credentials{}, errcode.Errorf(errcode.FetchingCertSecret, "Secret %s has no token in its key %q (chart value osm.vault.secret.key)", where, p.VaultTokenSecretKey)
		}
		return vault.Credentials{Token: token, CA: s.Data[names.CABundleCertKey]}, nil
	}
}

func checkTrustDomain(td string) error {
	if err := pki.CheckDNSName(td); err != nil {
		return errcode.Errorf(errcode.InvalidCLIArgument, "--trust-domain (chart value osm.trustDomain): %w", err)
	}
	return nil
}

// String names the provider for logs; it never shows a token.
func (p *Provider) String() string { return fmt.Sprintf("%s (trust domain %s)", p.Kind, p.TrustDomain) }
