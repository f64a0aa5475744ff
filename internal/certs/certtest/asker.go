package certtest

import (
	"context"
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/certs/signer"
)

// Authority signs as an authority outside of the control plane does. Its fields may be changed with Set.
type Authority struct {
	t   testing.TB
	key crypto.Signer

	mu sync.Mutex
	// CA is the certificate that signs.
	CA *x509.Certificate
	// Err is the answer instead of a certificate, Hang a wait before it that only the caller's context ends.
	Err  error
	Hang bool
	// Edit changes what is signed, Result what is answered.
	Edit   func(*x509.Certificate)
	Result func(*signer.Leaf)
	// Open is how many questions are unanswered, Most the most there were at once.
	Open, Most int
}

// NewAuthority is one with a root of its own.
func NewAuthority(t testing.TB, cn string) *Authority {
	t.Helper()
	a := &Authority{t: t}
	a.Renew(cn)
	return a
}

// Renew replaces the root and its key.
func (a *Authority) Renew(cn string) {
	key := Key(a.t, elliptic.P256())
	ca := CA(a.t, cn, key, nil, nil, nil)
	a.Set(func(a *Authority) { a.CA, a.key = ca, key })
}

// Set changes fields.
func (a *Authority) Set(f func(*Authority)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f(a)
}

// String implements remote.Asker.
func (a *Authority) String() string { return "the test's authority" }

// Ask implements remote.Asker.
func (a *Authority) Ask(ctx context.Context, tmpl *x509.Certificate) (*signer.Leaf, error) {
	a.mu.Lock()
	a.Open++
	a.Most = max(a.Most, a.Open)
	hang := a.Hang
	a.mu.Unlock()
	defer a.Set(func(a *Authority) { a.Open-- })
	if hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.Err != nil {
		return nil, a.Err
	}
	key, err := signer.NewKey()
	require.NoError(a.t, err)
	c := *tmpl
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	if a.Edit != nil {
		a.Edit(&c)
	}
	der, err := x509.CreateCertificate(rand.Reader, &c, a.CA, key.Public(), a.key)
	require.NoError(a.t, err)
	l := &signer.Leaf{DER: der, NotAfter: c.NotAfter, Key: key, Root: a.CA}
	if a.Result != nil {
		a.Result(l)
	}
	return l, nil
}
