package tresor

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"time"

	"openservicemesh.io/osm/internal/certs/signer"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/pki"
	"openservicemesh.io/osm/internal/obs/errcode"
)

// Provider is the mesh's own authority, whose root and key are the CA Secret's.
type Provider struct{}

// Create makes a self-signed ECDSA P-256 root.
func (Provider) Create(_ context.Context, now time.Time) (*signer.Root, map[string][]byte, error) {
	key, err := signer.NewKey()
	if err != nil {
		return nil, nil, err
	}
	tmpl := pki.Root(now)
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return nil, nil, errcode.Errorf(errcode.CreatingRootCert, "cannot sign a new root: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, errcode.Errorf(errcode.CreatingRootCert, "cannot read back a new root: %w", err)
	}
	data, err := secretData(cert, key)
	return root(cert, []*x509.Certificate{cert}, &authority{cert: cert, key: key}), data, err
}

func root(cert *x509.Certificate, trusted []*x509.Certificate, a *authority) *signer.Root {
	r := signer.NewRoot(cert, trusted, a)
	r.KeyInSecret = true
	return r
}

func secretData(cert *x509.Certificate, key *ecdsa.PrivateKey) (map[string][]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, errcode.Errorf(errcode.EncodingKeyDERtoPEM, "cannot encode the key of a new root: %w", err)
	}
	return map[string][]byte{
		names.CABundleCertKey:    signer.CertificatePEM(cert),
		names.CABundlePrivateKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
	}, nil
}

// authority is one root with its key.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
	// chain is what is sent after a leaf: the signer itself when it is an intermediate, else nothing.
	chain []*x509.Certificate
}

// Sign implements signer.Signer. It never waits.
func (a *authority) Sign(_ context.Context, tmpl *x509.Certificate) (*signer.Leaf, error) {
	key, err := signer.NewKey()
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return nil, errcode.Errorf(errcode.IssuingCert, "cannot sign a certificate with root %s: %w", pki.RootID(a.cert.Raw), err)
	}
	return &signer.Leaf{DER: der, NotAfter: tmpl.NotAfter, Key: key, Chain: a.chain, Root: a.cert}, nil
}

// Cross implements signer.Crosser. Subject and issuer may be the same name, so both keys are identified: otherwise verifiers take
// the certificate for self-signed.
func (a *authority) Cross(next *x509.Certificate) (*x509.Certificate, error) {
	if a.cert.MaxPathLenZero {
		return nil, errcode.Errorf(errcode.IssuingCert, "root %s must not certify other authorities (its path length is 0)", pki.RootID(a.cert.Raw))
	}
	der, err := x509.CreateCertificate(rand.Reader, pki.Cross(next, a.cert), a.cert, next.PublicKey, a.key)
	if err != nil {
		return nil, errcode.Errorf(errcode.IssuingCert, "root %s cannot certify root %s: %w", pki.RootID(a.cert.Raw), pki.RootID(next.Raw), err)
	}
	return x509.ParseCertificate(der)
}
