package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"time"

	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/pki"
	"openservicemesh.io/osm/internal/obs/errcode"
)

const (
	pemCertificate = "CERTIFICATE"
	minRSABits     = 2048
)

// root is one generation of the CA Secret: the certificate that signs, its key, and all it says to trust. Immutable.
type root struct {
	id   string
	cert *x509.Certificate
	key  crypto.Signer
	// trusted are all certificates of ca.crt, the signer included.
	trusted []*x509.Certificate
	// chain is what is sent after a leaf: the signer itself when it is an intermediate, else nothing.
	chain []*x509.Certificate
}

// newRoot makes a self-signed ECDSA P-256 root.
func newRoot(now time.Time) (*root, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, errcode.Errorf(errcode.GeneratingPrivateKey, "cannot make the key of a new root: %w", err)
	}
	tmpl := pki.Root(now)
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return nil, errcode.Errorf(errcode.CreatingRootCert, "cannot sign a new root: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, errcode.Errorf(errcode.CreatingRootCert, "cannot read back a new root: %w", err)
	}
	return &root{id: pki.RootID(der), cert: cert, key: key, trusted: []*x509.Certificate{cert}}, nil
}

// secretData is the root in the form of the Secret's data.
func (r *root) secretData() (map[string][]byte, error) {
	key, err := x509.MarshalPKCS8PrivateKey(r.key)
	if err != nil {
		return nil, errcode.Errorf(errcode.EncodingKeyDERtoPEM, "cannot encode the key of a new root: %w", err)
	}
	return map[string][]byte{
		names.CABundleCertKey:    certificatePEM(r.cert),
		names.CABundlePrivateKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
	}, nil
}

// parseRoot reads the data of the CA Secret; where is its "<namespace>/<name>", for errors. ca.crt holds one or more PEM
// certificates of which exactly one belongs to private.key (PKCS#1, PKCS#8 or SEC 1; RSA of at least 2048 bits or ECDSA).
// Further certificates are trusted as well.
func parseRoot(where string, data map[string][]byte, now time.Time) (*root, error) {
	p := secretParser{where}
	certPEM, keyPEM := data[names.CABundleCertKey], data[names.CABundlePrivateKey]
	if len(certPEM) == 0 {
		return nil, p.fail(errcode.MissingCertKey, names.CABundleCertKey, "is missing or empty")
	}
	if len(keyPEM) == 0 {
		return nil, p.fail(errcode.MissingPrivateKey, names.CABundlePrivateKey, "is missing or empty")
	}
	trusted, err := p.certificates(certPEM)
	if err != nil {
		return nil, err
	}
	key, err := p.privateKey(keyPEM)
	if err != nil {
		return nil, err
	}
	signer := signerOf(trusted, key)
	if signer == nil {
		return nil, p.fail(errcode.InvalidCA, names.CABundlePrivateKey, "does not belong to any certificate of "+names.CABundleCertKey)
	}
	if err := p.checkSigner(signer, now); err != nil {
		return nil, err
	}
	r := &root{id: pki.RootID(signer.Raw), cert: signer, key: key, trusted: trusted}
	if signer.CheckSignatureFrom(signer) != nil {
		r.chain = []*x509.Certificate{signer}
	}
	return r, nil
}

type secretParser struct{ where string }

func (p secretParser) fail(code errcode.Code, key, problem string) error {
	return errcode.Errorf(code, "Secret %s: key %s %s; correct it (%s: the PEM root certificate, %s: its PEM private key), "+
		"or delete the Secret and restart the control plane, which then makes a new root",
		p.where, key, problem, names.CABundleCertKey, names.CABundlePrivateKey)
}

func (p secretParser) certificates(data []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != pemCertificate {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, p.fail(errcode.DecodingCertPEM, names.CABundleCertKey, "holds an unreadable certificate ("+err.Error()+")")
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, p.fail(errcode.DecodingCertPEM, names.CABundleCertKey, "holds no PEM block CERTIFICATE")
	}
	return out, nil
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
