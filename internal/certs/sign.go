package certs

import (
	"context"
	"crypto/x509"
	"slices"
	"time"

	"openservicemesh.io/osm/internal/certs/signer"
	"openservicemesh.io/osm/internal/core/pki"
	"openservicemesh.io/osm/internal/obs/errcode"
)

// issue has a certificate signed. template gets the window the certificate is to live in.
func (a *Authority) issue(ctx context.Context, validity time.Duration, template func(pki.Window) (*x509.Certificate, error)) (*signer.Leaf, error) {
	start := time.Now()
	t, now := a.trust.Load(), a.now()
	r := t.signer
	// An authority elsewhere has a new root by then, or says so itself.
	if r.KeyInSecret && !now.Before(r.Cert.NotAfter) {
		return nil, errcode.Errorf(errcode.IssuingCert, "the root certificate %s in Secret %s expired at %s: put a new root there",
			r.ID, a.where(), r.Cert.NotAfter.UTC().Format(time.RFC3339))
	}
	end := r.Cert.NotAfter
	if !r.KeyInSecret && !now.Before(end) {
		end = time.Time{}
	}
	tmpl, err := template(pki.NewWindow(now, validity, end))
	if err != nil {
		return nil, errcode.Errorf(errcode.IssuingCert, "cannot issue a certificate: %w", err)
	}
	l, err := r.Signer.Sign(ctx, tmpl)
	if err == nil && !r.KeyInSecret && !a.trust.Load().knows(l.Root) {
		err = a.learn(ctx, l.Root)
	}
	a.tell(ctx, err)
	if err != nil {
		return nil, err
	}
	if len(t.cross) > 0 {
		with := *l
		with.Chain = slices.Concat(l.Chain, t.cross)
		l = &with
	}
	a.noteNotAfter(l.NotAfter.Unix())
	if a.cfg.Metrics != nil {
		a.cfg.Metrics.CertIssued(time.Since(start))
	}
	return l, nil
}

// issueSettled is issue for those whose peers must know the root already: a certificate of a new root is held back until
// everybody has been told of it.
func (a *Authority) issueSettled(ctx context.Context, validity time.Duration, template func(pki.Window) (*x509.Certificate, error)) (*signer.Leaf, error) {
	l, err := a.issue(ctx, validity, template)
	if err != nil {
		return nil, err
	}
	for {
		changed := a.signerChanged.next()
		if t := a.trust.Load(); t.signer.KeyInSecret || t.settled(l.Root) {
			return l, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, errcode.Errorf(errcode.IssuingCert, "the root certificate %s is new; its certificates are handed out once every proxy "+
				"has been told of it: %w", pki.RootID(l.Root.Raw), ctx.Err())
		}
	}
}

// life is how long a certificate that was just issued will live.
func (a *Authority) life(l *signer.Leaf) time.Duration { return l.NotAfter.Sub(a.now()) }

func (a *Authority) noteNotAfter(unix int64) {
	for {
		old := a.lastNotAfter.Load()
		if unix <= old || a.lastNotAfter.CompareAndSwap(old, unix) {
			return
		}
	}
}

// renewAt is when a certificate of root that ends at notAfter should be replaced. One that ends with its root gains nothing
// from being replaced earlier: only a new root helps, and that closes Changed.
func renewAt(root *x509.Certificate, notAfter time.Time, validity time.Duration, spread float64) time.Time {
	if !notAfter.Before(root.NotAfter.Truncate(time.Second)) {
		return notAfter
	}
	return pki.RenewAt(notAfter, validity, spread)
}
