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
	return signer.NewRoot(cert, []*x509.Certificate{cert}, &authority{cert: cert, key: key}), data, err
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
