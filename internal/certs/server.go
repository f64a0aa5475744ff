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

const (
	// retryRenewal is how long a failed renewal is left alone while the present certificate still serves.
	retryRenewal = 10 * time.Second
	// renewalTime bounds one renewal.
	renewalTime = 30 * time.Second
	// renewalWait is how long the handshake that finds a renewal due waits for it while the present certificate still serves: an
	// authority in the process answers well within it, one elsewhere need not.
	renewalWait = 100 * time.Millisecond
)

// ServerCert is a server certificate of the control plane that renews itself: at half its life, and when another root
// signs. There is nothing to start or stop: renewal begins in the handshake that finds it due, and no handshake waits for
// an authority as long as there is a certificate to serve. Use GetCertificate as tls.Config's field of that name.
type ServerCert struct {
	authority *Authority
	names     []string

	mu   sync.Mutex
	cert *tls.Certificate
	// signedAs is the root that signed when cert was issued.
	signedAs string
	renewAt  time.Time
	// renewing is closed when the renewal under way is over; nil: there is none. err is how the last one ended.
	renewing chan struct{}
	err      error
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
	now := s.authority.now()
	// A clock set back far leaves a certificate that has not begun: that one is replaced too.
	serves := now.Before(s.cert.Leaf.NotAfter) && !now.Before(s.cert.Leaf.NotBefore)
	present, wait := s.cert, time.Duration(0)
	if serves && s.signedAs == s.authority.RootID() && now.Before(s.renewAt) {
		s.mu.Unlock()
		return present, nil
	}
	if s.renewing == nil {
		s.renewing = make(chan struct{})
		go s.renewOnce()
		wait = renewalWait
	}
	over := s.renewing
	s.mu.Unlock()
	if !serves {
		wait = renewalTime
	}
	if awaited(hello, over, wait) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.err == nil {
			return s.cert, nil
		}
		if !serves {
			return nil, s.err
		}
	}
	return present, nil
}

// awaited waits for over to be closed; false when it was not within d, or the client went away before.
func awaited(hello *tls.ClientHelloInfo, over <-chan struct{}, d time.Duration) bool {
	ctx := context.Background()
	if hello != nil {
		ctx = hello.Context()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-over:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

func (s *ServerCert) renewOnce() {
	ctx, cancel := context.WithTimeout(context.Background(), renewalTime)
	defer cancel()
	root := s.authority.RootID()
	err := s.renew(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.authority.cfg.Log.Error("cannot renew a server certificate", "names", s.names, "error", err)
		s.signedAs, s.renewAt = root, s.authority.now().Add(retryRenewal)
	}
	s.err = err
	close(s.renewing)
	s.renewing = nil
}

func (s *ServerCert) renew(ctx context.Context) error {
	root := s.authority.RootID()
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
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cert = &tls.Certificate{Certificate: chain, PrivateKey: l.Key, Leaf: parsed}
	s.signedAs, s.renewAt = root, renewAt(l.Root, l.NotAfter, min(pki.ServerValidity, s.authority.life(l)), rand.Float64())
	return nil
}
