package certs

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"time"

	"openservicemesh.io/osm/internal/core/pki"
)

// ClientCert issues a certificate for a client outside of the mesh that sidecars let in, such as an ingress controller. It
// returns the chain and the key as PEM, and when to replace them.
func (a *Authority) ClientCert(names []string, validity time.Duration) (chain, key []byte, renew time.Time, err error) {
	l, err := a.issue(validity, func(w pki.Window) (*x509.Certificate, error) { return pki.Server(names, w) })
	if err != nil {
		return nil, nil, time.Time{}, err
	}
	var out bytes.Buffer
	if err := pem.Encode(&out, &pem.Block{Type: pemCertificate, Bytes: l.der}); err != nil {
		return nil, nil, time.Time{}, err
	}
	for _, c := range l.root.chain {
		out.Write(certificatePEM(c))
	}
	der, err := x509.MarshalPKCS8PrivateKey(l.key)
	if err != nil {
		return nil, nil, time.Time{}, err
	}
	return out.Bytes(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), renewAt(l.root, l.notAfter, validity, 0), nil
}

// SignerChanged returns a channel that is closed when another root signs, or when certificates live for another time.
func (a *Authority) SignerChanged() <-chan struct{} { return a.signerChanged.next() }
