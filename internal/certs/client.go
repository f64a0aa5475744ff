package certs

import (
	"context"
	"crypto/x509"
	"time"

	"openservicemesh.io/osm/internal/core/pki"
)

// ClientCert issues a certificate for a client outside of the mesh that sidecars let in, such as an ingress controller. It
// returns the chain and the key as PEM, and when to replace them.
func (a *Authority) ClientCert(ctx context.Context, names []string, validity time.Duration) (chain, key []byte, renew time.Time, err error) {
	l, err := a.issueSettled(ctx, validity, func(w pki.Window) (*x509.Certificate, error) { return pki.Server(names, w) })
	if err != nil {
		return nil, nil, time.Time{}, err
	}
	if key, err = l.KeyPEM(); err != nil {
		return nil, nil, time.Time{}, err
	}
	return l.PEM(), key, renewAt(l.Root, l.NotAfter, min(validity, a.life(l)), 0), nil
}

// SignerChanged returns a channel that is closed when another root signs, or when certificates live for another time.
func (a *Authority) SignerChanged() <-chan struct{} { return a.signerChanged.next() }
