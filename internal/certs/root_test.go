package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/obs/errcode"
)

var testNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func pemBlock(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func ecKey(t testing.TB, c elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	require.NoError(t, err)
	return k
}

func rsaKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0")
	k, err := rsa.GenerateKey(rand.Reader, bits)
	require.NoError(t, err)
	return k
}

// caCert signs a CA for key; nil parent means self-signed.
func caCert(t testing.TB, cn string, key crypto.Signer, parent *x509.Certificate, parentKey crypto.Signer, edit func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: cn},
		NotBefore: testNow.Add(-time.Hour), NotAfter: testNow.Add(10 * 365 * 24 * time.Hour),
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

func pkcs8(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return pemBlock("PRIVATE KEY", der)
}

func secretOf(crt, key []byte) map[string][]byte {
	return map[string][]byte{"ca.crt": crt, "private.key": key}
}

func TestParseRootAcceptsWhatUsersBring(t *testing.T) {
	ec, rs := ecKey(t, elliptic.P384()), rsaKey(t, 2048)
	ecCA, rsCA := caCert(t, "ec", ec, nil, nil, nil), caCert(t, "rsa", rs, nil, nil, nil)
	sec1, err := x509.MarshalECPrivateKey(ec)
	require.NoError(t, err)
	other := caCert(t, "other", ecKey(t, elliptic.P256()), nil, nil, nil)

	tests := map[string]struct {
		crt, key []byte
		want     *x509.Certificate
		trusted  int
	}{
		"RSA PKCS#1":            {certificatePEM(rsCA), pemBlock("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rs)), rsCA, 1},
		"RSA PKCS#8":            {certificatePEM(rsCA), pkcs8(t, rs), rsCA, 1},
		"EC SEC 1":              {certificatePEM(ecCA), pemBlock("EC PRIVATE KEY", sec1), ecCA, 1},
		"EC after parameters":   {certificatePEM(ecCA), append(pemBlock("EC PARAMETERS", []byte{6, 1, 0}), pemBlock("EC PRIVATE KEY", sec1)...), ecCA, 1},
		"EC PKCS#8":             {certificatePEM(ecCA), pkcs8(t, ec), ecCA, 1},
		"text around the PEM":   {append([]byte("subject=CN = ec\r\n"), certificatePEM(ecCA)...), pkcs8(t, ec), ecCA, 1},
		"second trusted root":   {append(certificatePEM(other), certificatePEM(ecCA)...), pkcs8(t, ec), ecCA, 2},
		"clock a minute behind": {certificatePEM(caCert(t, "young", ec, nil, nil, func(c *x509.Certificate) { c.NotBefore = testNow.Add(time.Minute) })), pkcs8(t, ec), nil, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r, err := parseRoot("osm-system/osm-ca-bundle", secretOf(tt.crt, tt.key), testNow)
			require.NoError(t, err)
			require.Len(t, r.trusted, tt.trusted)
			require.Empty(t, r.chain)
			if tt.want != nil {
				require.True(t, r.cert.Equal(tt.want))
			}
		})
	}
}

func TestParseRootSendsAnIntermediate(t *testing.T) {
	rootKey, subKey := ecKey(t, elliptic.P256()), ecKey(t, elliptic.P256())
	top := caCert(t, "top", rootKey, nil, nil, nil)
	sub := caCert(t, "sub", subKey, top, rootKey, nil)
	r, err := parseRoot("ns/s", secretOf(append(certificatePEM(sub), certificatePEM(top)...), pkcs8(t, subKey)), testNow)
	require.NoError(t, err)
	require.Len(t, r.chain, 1)
	require.True(t, r.chain[0].Equal(sub))
	require.Len(t, r.trusted, 2)
}

func TestParseRootRefusesWithKeyAndCure(t *testing.T) {
	ec := ecKey(t, elliptic.P256())
	good, key := certificatePEM(caCert(t, "ca", ec, nil, nil, nil)), pkcs8(t, ec)
	edited := func(f func(*x509.Certificate)) []byte { return certificatePEM(caCert(t, "ca", ec, nil, nil, f)) }
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	p224, weak := ecKey(t, elliptic.P224()), rsaKey(t, 1024)

	tests := map[string]struct {
		data map[string][]byte
		code errcode.Code
		want string
	}{
		"nil data":           {nil, errcode.MissingCertKey, "key ca.crt is missing"},
		"no key":             {map[string][]byte{"ca.crt": good}, errcode.MissingPrivateKey, "key private.key is missing"},
		"empty certificate":  {secretOf(nil, key), errcode.MissingCertKey, "key ca.crt is missing or empty"},
		"not PEM":            {secretOf([]byte("hello"), key), errcode.DecodingCertPEM, "holds no PEM block CERTIFICATE"},
		"base64 of PEM":      {secretOf([]byte("LS0tLS1CRUdJTiBD"), key), errcode.DecodingCertPEM, "holds no PEM block CERTIFICATE"},
		"key as certificate": {secretOf(key, key), errcode.DecodingCertPEM, "holds no PEM block CERTIFICATE"},
		"broken certificate": {secretOf(pemBlock("CERTIFICATE", []byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff}), key), errcode.DecodingCertPEM, "unreadable certificate"},
		"certificate as key": {secretOf(good, good), errcode.DecodingKeyPEM, "holds no PEM private key"},
		"broken key":         {secretOf(good, pemBlock("PRIVATE KEY", []byte("x"))), errcode.DecodingKeyPEM, "unreadable PRIVATE KEY"},
		"PKCS#1 as EC":       {secretOf(good, pemBlock("EC PRIVATE KEY", []byte("x"))), errcode.DecodingKeyPEM, "unreadable EC PRIVATE KEY"},
		"encrypted key":      {secretOf(good, pemBlock("ENCRYPTED PRIVATE KEY", []byte("x"))), errcode.DecodingKeyPEM, "encrypted with a passphrase"},
		"another's key":      {secretOf(good, pkcs8(t, ecKey(t, elliptic.P256()))), errcode.InvalidCA, "does not belong to any certificate"},
		"Ed25519":            {secretOf(good, pkcs8(t, edKey)), errcode.InvalidCA, "want ECDSA or RSA"},
		"P-224":              {secretOf(good, pkcs8(t, p224)), errcode.InvalidCA, "curve P-224"},
		"RSA 1024":           {secretOf(good, pkcs8(t, weak)), errcode.InvalidCA, "RSA key of 1024 bits"},
		"leaf":               {secretOf(edited(func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, 0 }), key), errcode.InvalidCA, "not a CA"},
		"no keyCertSign":     {secretOf(edited(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }), key), errcode.InvalidCA, "keyCertSign"},
		"expired":            {secretOf(edited(func(c *x509.Certificate) { c.NotAfter = testNow }), key), errcode.InvalidCA, "expired at 2026-03-01T12:00:00Z"},
		"not yet valid":      {secretOf(edited(func(c *x509.Certificate) { c.NotBefore = testNow.Add(time.Hour) }), key), errcode.InvalidCA, "not valid before 2026-03-01T13:00:00Z"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := parseRoot("osm-system/osm-ca-bundle", tt.data, testNow)
			require.ErrorContains(t, err, "Secret osm-system/osm-ca-bundle: key ")
			require.ErrorContains(t, err, tt.want)
			require.ErrorContains(t, err, "or delete the Secret")
			require.Equal(t, tt.code, errcode.Of(err))
		})
	}
}

func FuzzParseRoot(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"), []byte("-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, crt, key []byte) {
		r, err := parseRoot("ns/s", secretOf(crt, key), testNow)
		require.Equal(t, err == nil, r != nil)
		if err != nil && len(key) > 40 {
			require.NotContains(t, err.Error(), string(bytes.TrimSpace(key)))
		}
	})
}

func TestNewRootSurvivesItsSecret(t *testing.T) {
	r, err := newRoot(testNow)
	require.NoError(t, err)
	data, err := r.secretData()
	require.NoError(t, err)
	back, err := parseRoot("ns/s", data, testNow)
	require.NoError(t, err)
	require.Equal(t, r.id, back.id)
	require.Empty(t, back.chain)
	require.IsType(t, &ecdsa.PublicKey{}, back.cert.PublicKey)
	require.Equal(t, elliptic.P256(), back.cert.PublicKey.(*ecdsa.PublicKey).Curve)
}
