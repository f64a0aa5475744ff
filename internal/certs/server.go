package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"openservicemesh.io/osm/internal/core/pki"
)

// retryRenewal is how long a failed renewal is left alone while the present certificate still serves.
const retryRenewal = 10 * time.Second

// ServerCert is a server certificate of the control plane that renews itself: at half its life, and when another root
// signs. There is nothing to start or stop: renewal happens in the handshake that finds it due. Use GetCertificate as
// tls.Config's field of that name.
type ServerCert struct {
	authority *Authority
	names     []string

	mu      sync.Mutex
	cert    *tls.Certificate
	rootID  string
	renewAt time.Time
}

// ServerCert issues a certificate for the names (pki.ADSName, pki.WebhookName), so that a name or root that cannot be
// used fails at start.
func (a *Authority) ServerCert(ctx context.Context, names ...string) (*ServerCert, error) {
	s := &ServerCert{authority: a, names: slices.Clone(names)}
	if err := s.renew(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// GetCertificate returns the certificate to serve. When renewal fails, the present certificate serves until it expires.
func (s *ServerCert) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.authority.now()
	// A clock set back far leaves a certificate that has not begun: that one is replaced too.
	if s.rootID == s.authority.RootID() && now.Before(s.renewAt) && !now.Before(s.cert.Leaf.NotBefore) {
		return s.cert, nil
	}
	ctx := context.Background()
	if hello != nil {
		ctx = hello.Context()
	}
	if err := s.renew(ctx); err != nil {
		s.authority.cfg.Log.Error("cannot renew a server certificate", "names", s.names, "error", err)
		if !now.Before(s.cert.Leaf.NotAfter) {
			return nil, err
		}
		s.rootID, s.renewAt = s.authority.RootID(), now.Add(retryRenewal)
	}
	return s.cert, nil
}

// renew replaces the certificate; the caller holds the lock, or is the only one to know s.
func (s *ServerCert) renew(ctx context.Context) error {
	l, err := s.authority.issue(ctx, pki.ServerValidity, func(w pki.Window) (*x509.Certificate, error) {
		return pki.Server(s.names, w)
	})
	if err != nil {
		return err
	}
	parsed, err := x509.ParseCertificate(l.DER)
	if err != nil {
		return err
	}
	chain := [][]byte{l.DER}
	for _, c := range l.Chain {
		chain = append(chain, c.Raw)
	}
	s.cert = &tls.Certificate{Certificate: chain, PrivateKey: l.Key, Leaf: parsed}
	s.rootID, s.renewAt = pki.RootID(l.Root.Raw), renewAt(l.Root, l.NotAfter, pki.ServerValidity, rand.Float64())
	return nil
}
