package tresor

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/certs/certtest"
	"openservicemesh.io/osm/internal/certs/signer"
	"openservicemesh.io/osm/internal/obs/errcode"
)

func rsaKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0")
	k, err := rsa.GenerateKey(rand.Reader, bits)
	require.NoError(t, err)
	return k
}

func chain(r *signer.Root) []*x509.Certificate { return r.Signer.(*authority).chain }

func TestParseRootAcceptsWhatUsersBring(t *testing.T) {
	ec, rs := certtest.Key(t, elliptic.P384()), rsaKey(t, 2048)
	ecCA, rsCA := certtest.CA(t, "ec", ec, nil, nil, nil), certtest.CA(t, "rsa", rs, nil, nil, nil)
	sec1, err := x509.MarshalECPrivateKey(ec)
	require.NoError(t, err)
	other := certtest.CA(t, "other", certtest.Key(t, elliptic.P256()), nil, nil, nil)

	tests := map[string]struct {
		crt, key []byte
		want     *x509.Certificate
		trusted  int
	}{
		"RSA PKCS#1":            {signer.CertificatePEM(rsCA), certtest.Block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rs)), rsCA, 1},
		"RSA PKCS#8":            {signer.CertificatePEM(rsCA), certtest.PKCS8(t, rs), rsCA, 1},
		"EC SEC 1":              {signer.CertificatePEM(ecCA), certtest.Block("EC PRIVATE KEY", sec1), ecCA, 1},
		"EC after parameters":   {signer.CertificatePEM(ecCA), append(certtest.Block("EC PARAMETERS", []byte{6, 1, 0}), certtest.Block("EC PRIVATE KEY", sec1)...), ecCA, 1},
		"EC PKCS#8":             {signer.CertificatePEM(ecCA), certtest.PKCS8(t, ec), ecCA, 1},
		"text around the PEM":   {append([]byte("subject=CN = ec\r\n"), signer.CertificatePEM(ecCA)...), certtest.PKCS8(t, ec), ecCA, 1},
		"second trusted root":   {append(signer.CertificatePEM(other), signer.CertificatePEM(ecCA)...), certtest.PKCS8(t, ec), ecCA, 2},
		"clock a minute behind": {signer.CertificatePEM(certtest.CA(t, "young", ec, nil, nil, func(c *x509.Certificate) { c.NotBefore = certtest.Now.Add(time.Minute) })), certtest.PKCS8(t, ec), nil, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r, err := Provider{}.Parse("osm-system/osm-ca-bundle", certtest.Secret(tt.crt, tt.key), certtest.Now)
			require.NoError(t, err)
			require.Len(t, r.Trusted, tt.trusted)
			require.Empty(t, chain(r))
			if tt.want != nil {
				require.True(t, r.Cert.Equal(tt.want))
			}
		})
	}
}

func TestParseRootSendsAnIntermediate(t *testing.T) {
	rootKey, subKey := certtest.Key(t, elliptic.P256()), certtest.Key(t, elliptic.P256())
	top := certtest.CA(t, "top", rootKey, nil, nil, nil)
	sub := certtest.CA(t, "sub", subKey, top, rootKey, nil)
	r, err := Provider{}.Parse("ns/s", certtest.Secret(append(signer.CertificatePEM(sub), signer.CertificatePEM(top)...), certtest.PKCS8(t, subKey)), certtest.Now)
	require.NoError(t, err)
	require.Len(t, chain(r), 1)
	require.True(t, chain(r)[0].Equal(sub))
	require.Len(t, r.Trusted, 2)
}

func TestParseRootRefusesWithKeyAndCure(t *testing.T) {
	ec := certtest.Key(t, elliptic.P256())
	good, key := signer.CertificatePEM(certtest.CA(t, "ca", ec, nil, nil, nil)), certtest.PKCS8(t, ec)
	edited := func(f func(*x509.Certificate)) []byte {
		return signer.CertificatePEM(certtest.CA(t, "ca", ec, nil, nil, f))
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	p224, weak := certtest.Key(t, elliptic.P224()), rsaKey(t, 1024)

	tests := map[string]struct {
		data map[string][]byte
		code errcode.Code
		want string
	}{
		"nil data":           {nil, errcode.MissingCertKey, "key ca.crt is missing"},
		"no key":             {map[string][]byte{"ca.crt": good}, errcode.MissingPrivateKey, "key private.key is missing"},
		"empty certificate":  {certtest.Secret(nil, key), errcode.MissingCertKey, "key ca.crt is missing or empty"},
		"not PEM":            {certtest.Secret([]byte("hello"), key), errcode.DecodingCertPEM, "holds no PEM block CERTIFICATE"},
		"base64 of PEM":      {certtest.Secret([]byte("LS0tLS1CRUdJTiBD"), key), errcode.DecodingCertPEM, "holds no PEM block CERTIFICATE"},
		"key as certificate": {certtest.Secret(key, key), errcode.DecodingCertPEM, "holds no PEM block CERTIFICATE"},
		"broken certificate": {certtest.Secret(certtest.Block("CERTIFICATE", []byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff}), key), errcode.DecodingCertPEM, "unreadable certificate"},
		"certificate as key": {certtest.Secret(good, good), errcode.DecodingKeyPEM, "holds no PEM private key"},
		"broken key":         {certtest.Secret(good, certtest.Block("PRIVATE KEY", []byte("x"))), errcode.DecodingKeyPEM, "unreadable PRIVATE KEY"},
		"PKCS#1 as EC":       {certtest.Secret(good, certtest.Block("EC PRIVATE KEY", []byte("x"))), errcode.DecodingKeyPEM, "unreadable EC PRIVATE KEY"},
		"encrypted key":      {certtest.Secret(good, certtest.Block("ENCRYPTED PRIVATE KEY", []byte("x"))), errcode.DecodingKeyPEM, "encrypted with a passphrase"},
		"another's key":      {certtest.Secret(good, certtest.PKCS8(t, certtest.Key(t, elliptic.P256()))), errcode.InvalidCA, "does not belong to any certificate"},
		"Ed25519":            {certtest.Secret(good, certtest.PKCS8(t, edKey)), errcode.InvalidCA, "want ECDSA or RSA"},
		"P-224":              {certtest.Secret(good, certtest.PKCS8(t, p224)), errcode.InvalidCA, "curve P-224"},
		"RSA 1024":           {certtest.Secret(good, certtest.PKCS8(t, weak)), errcode.InvalidCA, "RSA key of 1024 bits"},
		"leaf":               {certtest.Secret(edited(func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, 0 }), key), errcode.InvalidCA, "not a CA"},
		"no keyCertSign":     {certtest.Secret(edited(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }), key), errcode.InvalidCA, "keyCertSign"},
		"expired":            {certtest.Secret(edited(func(c *x509.Certificate) { c.NotAfter = certtest.Now }), key), errcode.InvalidCA, "expired at 2026-03-01T12:00:00Z"},
		"not yet valid":      {certtest.Secret(edited(func(c *x509.Certificate) { c.NotBefore = certtest.Now.Add(time.Hour) }), key), errcode.InvalidCA, "not valid before 2026-03-01T13:00:00Z"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Provider{}.Parse("osm-system/osm-ca-bundle", tt.data, certtest.Now)
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
		r, err := Provider{}.Parse("ns/s", certtest.Secret(crt, key), certtest.Now)
		require.Equal(t, err == nil, r != nil)
		if err != nil && len(key) > 40 {
			require.NotContains(t, err.Error(), string(bytes.TrimSpace(key)))
		}
	})
}

func TestNewRootSurvivesItsSecret(t *testing.T) {
	r, data, err := Provider{}.Create(t.Context(), certtest.Now)
	require.NoError(t, err)
	back, err := Provider{}.Parse("ns/s", data, certtest.Now)
	require.NoError(t, err)
	require.Equal(t, r.ID, back.ID)
	require.Empty(t, chain(back))
	require.IsType(t, &ecdsa.PublicKey{}, back.Cert.PublicKey)
	require.Equal(t, elliptic.P256(), back.Cert.PublicKey.(*ecdsa.PublicKey).Curve)
}
