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
	// managed is whether MeshRootCertificates say what is trusted: then nothing changes by itself. others are certificates that are
	// trusted as well; next is the root that is to sign.
	managed bool
	others  []*x509.Certificate
	// cross is sent after every certificate: the signer's, certified by roots that signed before.
	cross  []*x509.Certificate
	bundle []byte
}

// newTrust builds the bundle: every trusted certificate once, without expired ones, in the order of their ids, so that
// replicas that trust the same certificates publish the same bytes.
func newTrust(t trust, now time.Time) *trust {
	t.bundle = nil
	for _, c := range t.trusted(now) {
		t.bundle = append(t.bundle, signer.CertificatePEM(c)...)
	}
	return &t
}

func (t *trust) trusted(now time.Time) []*x509.Certificate {
	var certs []*x509.Certificate
	add := func(list []*x509.Certificate) {
		for _, c := range list {
			if now.Before(c.NotAfter) && !slices.ContainsFunc(certs, c.Equal) {
				certs = append(certs, c)
			}
		}
	}
	for _, r := range []*signer.Root{t.signer, t.next, t.retired} {
		if r != nil {
			add(r.Trusted)
		}
	}
	add(t.others)
	slices.SortFunc(certs, func(a, b *x509.Certificate) int { return cmp.Compare(pki.RootID(a.Raw), pki.RootID(b.Raw)) })
	return certs
}

// ids names all that is trusted, trusts whether a root is.
func (t *trust) ids(now time.Time) []string {
	var out []string
	for _, c := range t.trusted(now) {
		out = append(out, pki.RootID(c.Raw))
	}
	return out
}

func (t *trust) trusts(id string, now time.Time) bool { return slices.Contains(t.ids(now), id) }

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
	n := trust{signer: t.next, retired: t.signer, retiredUntil: until}
	if t.retired != nil && t.retired.Cert == nil { // what MeshRootCertificates had trusted goes on being so
		n.retired = &signer.Root{ID: t.retired.ID, Trusted: slices.Concat(t.retired.Trusted, t.signer.Trusted)}
		if t.retiredUntil.After(until) {
			n.retiredUntil = t.retiredUntil
		}
	}
	return newTrust(n, now)
}

// forget drops a retired root.
func (t *trust) forget(now time.Time) *trust {
	n := *t
	n.retired = nil
	return newTrust(n, now)
}

// settled reports whether everybody trusts c: it has been trusted for the overlap.
func (t *trust) settled(c *x509.Certificate) bool {
	return slices.ContainsFunc(t.signer.Trusted, c.Equal) || t.retired != nil && slices.ContainsFunc(t.retired.Trusted, c.Equal)
}

// knows reports whether c is trusted here.
func (t *trust) knows(c *x509.Certificate) bool {
	return t.settled(c) || t.next != nil && slices.ContainsFunc(t.next.Trusted, c.Equal)
}

// accepts reports whether certificates of the root named id are as good as newly issued ones.
func (t *trust) accepts(id string) bool {
	return id == t.signer.ID || t.next != nil && id == t.next.ID
}
