// Package certtest makes certificate authorities for tests of internal/certs and the packages below it.
package certtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/certs/signer"
)

// Now is the instant at which tests play.
var Now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// Block is one PEM block.
func Block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// Key makes an ECDSA key.
func Key(t testing.TB, c elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	require.NoError(t, err)
	return k
}

// CA signs a CA certificate for key, valid from an hour before Now for ten years; nil parent means self-signed.
func CA(t testing.TB, cn string, key crypto.Signer, parent *x509.Certificate, parentKey crypto.Signer, edit func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: cn},
		NotBefore: Now.Add(-time.Hour), NotAfter: Now.Add(10 * 365 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if edit != nil {
		edit(tmpl)
	}
	if parent == nil {
		parent, parentKey = tmpl, key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), parentKey)
	require.NoError(t, err)
	c, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return c
}

// PKCS8 is a key as PEM.
func PKCS8(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return Block("PRIVATE KEY", der)
}

// Secret is the data of a CA Secret.
func Secret(crt, key []byte) map[string][]byte {
	return map[string][]byte{"ca.crt": crt, "private.key": key}
}

// NewCA is a self-signed P-256 root and the data of its Secret.
func NewCA(t testing.TB, cn string) (*x509.Certificate, map[string][]byte) {
	t.Helper()
	key := Key(t, elliptic.P256())
	c := CA(t, cn, key, nil, nil, nil)
	return c, Secret(signer.CertificatePEM(c), PKCS8(t, key))
}
