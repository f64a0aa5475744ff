package signer

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"time"

	"openservicemesh.io/osm/internal/core/pki"
	"openservicemesh.io/osm/internal/obs/errcode"
)

// Signer signs certificates. Its methods may be called concurrently.
type Signer interface {
	// Sign issues a certificate that says exactly what the template says, with a key of its own that is kept nowhere else. A
	// certificate may begin later and end earlier than asked for, never the reverse. It returns when ctx ends at the latest, and
	// an error then.
	Sign(ctx context.Context, tmpl *x509.Certificate) (*Leaf, error)
}

// Crosser is a Signer that can certify another root's key.
type Crosser interface {
	// Cross returns a certificate of next's name and key that is signed by this root, for those who trust this one alone.
	Cross(next *x509.Certificate) (*x509.Certificate, error)
}

// Leaf is one issued certificate and its key. Immutable.
type Leaf struct {
	// DER is the certificate, NotAfter its end.
	DER      []byte
	NotAfter time.Time
	Key      crypto.Signer
	// Chain is what is sent after the certificate: intermediates, without the root.
	Chain []*x509.Certificate
	// Root is the certificate that whoever verifies this one must trust.
	Root *x509.Certificate
}

// PEM is the certificate and its chain, as they are sent.
func (l *Leaf) PEM() []byte {
	out := encode(l.DER)
	for _, c := range l.Chain {
		out = append(out, CertificatePEM(c)...)
	}
	return out
}

// KeyPEM is the key in PKCS#8.
func (l *Leaf) KeyPEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(l.Key)
	if err != nil {
		return nil, errcode.Errorf(errcode.EncodingKeyDERtoPEM, "cannot encode the key of a certificate: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// Root is one generation of what the mesh trusts, and who signs under it. Immutable.
type Root struct {
	// ID is the pki.RootID of Cert, the certificate that leaves of this generation chain to.
	ID   string
	Cert *x509.Certificate
	// Trusted are all certificates to trust, Cert included.
	Trusted []*x509.Certificate
	Signer  Signer
	// KeyInSecret is whether the key is the CA Secret's, so that nothing but a change of the Secret changes the root.
	KeyInSecret bool
}

// NewRoot gives the generation its name.
func NewRoot(cert *x509.Certificate, trusted []*x509.Certificate, s Signer) *Root {
	return &Root{ID: pki.RootID(cert.Raw), Cert: cert, Trusted: trusted, Signer: s}
}

// Provider is a kind of certificate authority. What all replicas have to agree on stands in the CA Secret; the provider
// knows what is in it.
type Provider interface {
	// Parse reads the Secret's data; where is the Secret's "<namespace>/<name>", for errors, which name the key and the cure.
	Parse(where string, data map[string][]byte, now time.Time) (*Root, error)
	// Create makes the first root, and the data of the Secret that tells of it.
	Create(ctx context.Context, now time.Time) (*Root, map[string][]byte, error)
}

// NewKey makes the key of one certificate.
func NewKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, errcode.Errorf(errcode.GeneratingPrivateKey, "cannot make a key: %w", err)
	}
	return key, nil
}
