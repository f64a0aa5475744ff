package remote

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"openservicemesh.io/osm/internal/certs/signer"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/pki"
	"openservicemesh.io/osm/internal/obs/errcode"
)

// How much is asked of an authority, and how long an answer is waited for. Callers repeat what failed, with growing pauses.
const (
	atOnce = 16
	// patience is less than the 30 seconds that a proxy's stream waits, so that the reason is told and not only that time was up.
	patience = 20 * time.Second
)

// Asker asks an authority for one certificate. Its methods may be called concurrently.
type Asker interface {
	// Ask returns what the authority issued, unchecked. The error says what to do about it.
	Ask(ctx context.Context, tmpl *x509.Certificate) (*signer.Leaf, error)
	// String names the authority, for example `cert-manager Issuer "osm-ca"`.
	String() string
}

// Provider is a signer.Provider, and the Signer of each of its roots: whichever root is in use, the authority decides.
type Provider struct {
	asker Asker
	// probe is the certificate that is asked for to learn the root.
	probe    func(pki.Window) (*x509.Certificate, error)
	now      func() time.Time
	slots    chan struct{}
	patience time.Duration
}

// New returns a provider that asks a. To learn the root it asks for a certificate of the server name given, which should be
// one that is needed anyway: an authority may issue for few names.
func New(a Asker, serverName string) *Provider {
	return &Provider{
		asker: a, now: time.Now, slots: make(chan struct{}, atOnce), patience: patience,
		probe: func(w pki.Window) (*x509.Certificate, error) { return pki.Server([]string{serverName}, w) },
	}
}

// String names the authority.
func (p *Provider) String() string { return p.asker.String() }

// Sign implements signer.Signer.
func (p *Provider) Sign(ctx context.Context, tmpl *x509.Certificate) (*signer.Leaf, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.patience, fmt.Errorf("%s has not answered within %s", p.asker, p.patience))
	defer cancel()
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return nil, errcode.Errorf(errcode.IssuingCert, "%s is asked for %d certificates already: %w", p.asker, atOnce, context.Cause(ctx))
	}
	if ctx.Err() != nil { // a slot that came too late
		return nil, errcode.Errorf(errcode.IssuingCert, "%w", context.Cause(ctx))
	}
	leaf, err := p.asker.Ask(ctx, tmpl)
	if err != nil {
		// The cause says more than the client's word that time was up.
		if cause := context.Cause(ctx); cause != nil && errors.Is(err, context.DeadlineExceeded) {
			err = cause
		}
		return nil, coded(errcode.IssuingCert, fmt.Errorf("no certificate for %s from %s: %w", tmpl.DNSNames[0], p.asker, err))
	}
	if err := check(leaf, tmpl, pki.Wall(p.now())); err != nil {
		return nil, errcode.Errorf(errcode.InvalidCA, "the certificate for %s from %s is refused: %w", tmpl.DNSNames[0], p.asker, err)
	}
	return leaf, nil
}

// coded gives err the code unless it has one.
func coded(code errcode.Code, err error) error {
	if errcode.Of(err) != "" {
		return err
	}
	return &errcode.Error{Code: code, Err: err}
}

// Create asks for a certificate to learn the root. A certificate is the only thing every authority gives.
func (p *Provider) Create(ctx context.Context, now time.Time) (*signer.Root, map[string][]byte, error) {
	tmpl, err := p.probe(pki.NewWindow(now, pki.MinServiceValidity, time.Time{}))
	if err != nil {
		return nil, nil, err
	}
	leaf, err := p.Sign(ctx, tmpl)
	if err != nil {
		return nil, nil, coded(errcode.FetchingRootCert, err)
	}
	root := signer.NewRoot(leaf.Root, []*x509.Certificate{leaf.Root}, p)
	return root, map[string][]byte{names.CABundleCertKey: signer.CertificatePEM(leaf.Root)}, nil
}

// Parse reads the root certificates of the CA Secret, the one that signs first. A private key that a former authority left there
// is not looked at.
func (p *Provider) Parse(where string, data map[string][]byte, _ time.Time) (*signer.Root, error) {
	trusted, err := signer.ParseCertificates(data[names.CABundleCertKey])
	if err != nil {
		return nil, errcode.Errorf(errcode.DecodingCertPEM, "Secret %s: key %s %w; correct it (the PEM root certificate of %s), or delete the Secret "+
			"and restart the control plane, which then asks for it", where, names.CABundleCertKey, err, p.asker)
	}
	for _, c := range trusted {
		if !c.IsCA {
			return nil, errcode.Errorf(errcode.InvalidCA, "Secret %s: key %s holds a certificate that is not a CA (subject %s); take it out",
				where, names.CABundleCertKey, c.Subject)
		}
	}
	return signer.NewRoot(trusted[0], trusted, p), nil
}
