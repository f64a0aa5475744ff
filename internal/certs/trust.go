package certs

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"slices"
	"time"

	"openservicemesh.io/osm/internal/certs/signer"
	"openservicemesh.io/osm/internal/core/pki"
)

// trust is what the mesh signs with and believes at one moment. It is immutable and replaced as a whole.
type trust struct {
	signer *signer.Root
	// next is trusted already and becomes the signer when the overlap ends; nil outside a change of root.
	next *signer.Root
	// retired is trusted until the last certificate it signed has expired.
	retired      *signer.Root
	retiredUntil time.Time
	bundle       []byte
}

// newTrust builds the bundle: every trusted certificate once, without expired ones, in the order of their ids, so that
// replicas that trust the same certificates publish the same bytes.
func newTrust(t trust, now time.Time) *trust {
	var certs []*x509.Certificate
	for _, r := range []*signer.Root{t.signer, t.next, t.retired} {
		if r == nil {
			continue
		}
		for _, c := range r.Trusted {
			if now.Before(c.NotAfter) && !slices.ContainsFunc(certs, c.Equal) {
				certs = append(certs, c)
			}
		}
	}
	slices.SortFunc(certs, func(a, b *x509.Certificate) int { return cmp.Compare(pki.RootID(a.Raw), pki.RootID(b.Raw)) })
	t.bundle = nil
	for _, c := range certs {
		t.bundle = append(t.bundle, signer.CertificatePEM(c)...)
	}
	return &t
}

// offer takes up what the Secret says now. The first return value is nil when nothing changed.
func (t *trust) offer(r *signer.Root, now time.Time) *trust {
	n := *t
	if r.ID == t.signer.ID {
		n.signer, n.next = r, nil
	} else {
		n.next = r
	}
	out := newTrust(n, now)
	if bytes.Equal(out.bundle, t.bundle) && (out.next == nil) == (t.next == nil) {
		return nil
	}
	return out
}

// turn makes next the signer and retires the old one until the instant given.
func (t *trust) turn(until, now time.Time) *trust {
	return newTrust(trust{signer: t.next, retired: t.signer, retiredUntil: until}, now)
}

// forget drops a retired root.
func (t *trust) forget(now time.Time) *trust {
	return newTrust(trust{signer: t.signer, next: t.next}, now)
}

// accepts reports whether certificates of the root named id are as good as newly issued ones.
func (t *trust) accepts(id string) bool {
	return id == t.signer.ID || t.next != nil && id == t.next.ID
}
