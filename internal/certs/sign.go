package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"time"

	"openservicemesh.io/osm/internal/core/pki"
	"openservicemesh.io/osm/internal/obs/errcode"
)

// leaf is one issued certificate and its key.
type leaf struct {
	root     *root
	der      []byte
	key      *ecdsa.PrivateKey
	notAfter time.Time
}

// issue makes a key and a certificate of it. template gets the window the certificate is to live in.
func (a *Authority) issue(validity time.Duration, template func(pki.Window) (*x509.Certificate, error)) (leaf, error) {
	start := time.Now()
	r, now := a.trust.Load().signer, a.now()
	if !now.Before(r.cert.NotAfter) {
		return leaf{}, errcode.Errorf(errcode.IssuingCert, "the root certificate %s in Secret %s expired at %s: put a new root there",
			r.id, a.where(), r.cert.NotAfter.UTC().Format(time.RFC3339))
	}
	tmpl, err := template(pki.NewWindow(now, validity, r.cert.NotAfter))
	if err != nil {
		return leaf{}, errcode.Errorf(errcode.IssuingCert, "cannot issue a certificate: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return leaf{}, errcode.Errorf(errcode.GeneratingPrivateKey, "cannot make a key: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, r.cert, &key.PublicKey, r.key)
	if err != nil {
		return leaf{}, errcode.Errorf(errcode.IssuingCert, "cannot sign a certificate with root %s: %w", r.id, err)
	}
	a.noteNotAfter(tmpl.NotAfter.Unix())
	if a.cfg.Metrics != nil {
		a.cfg.Metrics.CertIssued(time.Since(start))
	}
	return leaf{root: r, der: der, key: key, notAfter: tmpl.NotAfter}, nil
}

func (a *Authority) noteNotAfter(unix int64) {
	for {
		old := a.lastNotAfter.Load()
		if unix <= old || a.lastNotAfter.CompareAndSwap(old, unix) {
			return
		}
	}
}

// renewAt is when a certificate of r that ends at notAfter should be replaced. One that ends with its root gains nothing
// from being replaced earlier: only a new root helps, and that closes Changed.
func renewAt(r *root, notAfter time.Time, validity time.Duration, spread float64) time.Time {
	if !notAfter.Before(r.cert.NotAfter.Truncate(time.Second)) {
		return notAfter
	}
	return pki.RenewAt(notAfter, validity, spread)
}
