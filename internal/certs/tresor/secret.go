package tresor

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"time"

	"openservicemesh.io/osm/internal/certs/signer"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/pki"
	"openservicemesh.io/osm/internal/obs/errcode"
)

const minRSABits = 2048

// Parse reads the data of the CA Secret. ca.crt holds one or more PEM certificates of which exactly one belongs to private.key
// (PKCS#1, PKCS#8 or SEC 1; RSA of at least 2048 bits or ECDSA). Further certificates are trusted as well.
func (Provider) Parse(where string, data map[string][]byte, now time.Time) (*signer.Root, error) {
	p := secretParser{where}
	certPEM, keyPEM := data[names.CABundleCertKey], data[names.CABundlePrivateKey]
	if len(certPEM) == 0 {
		return nil, p.fail(errcode.MissingCertKey, names.CABundleCertKey, "is missing or empty")
	}
	if len(keyPEM) == 0 {
		return nil, p.fail(errcode.MissingPrivateKey, names.CABundlePrivateKey, "is missing or empty")
	}
	trusted, err := signer.ParseCertificates(certPEM)
	if err != nil {
		return nil, p.fail(errcode.DecodingCertPEM, names.CABundleCertKey, err.Error())
	}
	key, err := p.privateKey(keyPEM)
	if err != nil {
		return nil, err
	}
	cert := signerOf(trusted, key)
	if cert == nil {
		return nil, p.fail(errcode.InvalidCA, names.CABundlePrivateKey, "does not belong to any certificate of "+names.CABundleCertKey)
	}
	if err := p.checkSigner(cert, now); err != nil {
		return nil, err
	}
	a := &authority{cert: cert, key: key}
	if cert.CheckSignatureFrom(cert) != nil {
		a.chain = []*x509.Certificate{cert}
	}
	return root(cert, trusted, a), nil
}

type secretParser struct{ where string }

func (p secretParser) fail(code errcode.Code, key, problem string) error {
	return errcode.Errorf(code, "Secret %s: key %s %s; correct it (%s: the PEM root certificate, %s: its PEM private key), "+
		"or delete the Secret and restart the control plane, which then makes a new root",
		p.where, key, problem, names.CABundleCertKey, names.CABundlePrivateKey)
}

// privateKey never puts bytes of the key into an error.
func (p secretParser) privateKey(data []byte) (crypto.Signer, error) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		var key any
		var err error
		switch block.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			return nil, p.fail(errcode.DecodingKeyPEM, names.CABundlePrivateKey, "is encrypted with a passphrase, which cannot be given here")
		default: // "EC PARAMETERS" stands before the key in files that openssl writes
			continue
		}
		if err != nil {
			return nil, p.fail(errcode.DecodingKeyPEM, names.CABundlePrivateKey, "holds an unreadable "+block.Type)
		}
		return p.usableKey(key)
	}
	return nil, p.fail(errcode.DecodingKeyPEM, names.CABundlePrivateKey, "holds no PEM private key (PKCS#1, PKCS#8 or EC)")
}

// usableKey refuses what proxies would not verify.
func (p secretParser) usableKey(key any) (crypto.Signer, error) {
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		if k.Curve != elliptic.P224() {
			return k, nil
		}
		return nil, p.fail(errcode.InvalidCA, names.CABundlePrivateKey, "is an ECDSA key on curve P-224; want P-256, P-384 or P-521")
	case *rsa.PrivateKey:
		if k.N.BitLen() >= minRSABits {
			return k, nil
		}
		return nil, p.fail(errcode.InvalidCA, names.CABundlePrivateKey,
			fmt.Sprintf("is an RSA key of %d bits; want at least %d", k.N.BitLen(), minRSABits))
	}
	return nil, p.fail(errcode.InvalidCA, names.CABundlePrivateKey, fmt.Sprintf("is a key of type %T; want ECDSA or RSA", key))
}

func signerOf(certs []*x509.Certificate, key crypto.Signer) *x509.Certificate {
	pub, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		return nil
	}
	for _, c := range certs {
		if pub.Equal(c.PublicKey) {
			return c
		}
	}
	return nil
}

func (p secretParser) checkSigner(c *x509.Certificate, now time.Time) error {
	problem := ""
	switch {
	case !c.BasicConstraintsValid || !c.IsCA:
		problem = "holds a certificate that is not a CA (basic constraints CA:TRUE is missing)"
	case c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0:
		problem = "holds a CA whose key usage does not allow signing certificates (keyCertSign is missing)"
	case !now.Before(c.NotAfter):
		problem = "holds a root that expired at " + c.NotAfter.UTC().Format(time.RFC3339)
	case now.Add(pki.Backdate).Before(c.NotBefore):
		problem = "holds a root that is not valid before " + c.NotBefore.UTC().Format(time.RFC3339)
	default:
		return nil
	}
	return p.fail(errcode.InvalidCA, names.CABundleCertKey, problem)
}
