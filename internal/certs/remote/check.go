package remote

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"openservicemesh.io/osm/internal/certs/signer"
	"openservicemesh.io/osm/internal/core/pki"
)

// endSlack is how much later than asked a certificate may end: the authority's clock, and the time it took.
const endSlack = 10 * time.Minute

// check refuses a certificate that says anything but what the template says. A mistake of the authority, or of its settings,
// must not give one workload the name of another.
func check(l *signer.Leaf, tmpl *x509.Certificate, now time.Time) error {
	c, err := x509.ParseCertificate(l.DER)
	if err != nil {
		return fmt.Errorf("it cannot be read (%w)", err)
	}
	if err := checkNames(c, tmpl); err != nil {
		return err
	}
	pub, ok := l.Key.Public().(interface{ Equal(crypto.PublicKey) bool })
	switch {
	case !ok || !pub.Equal(c.PublicKey):
		return errors.New("it is not for the key that came with it")
	case c.IsCA:
		return errors.New("it is a CA; the role or issuer must issue certificates of servers and clients")
	case now.Add(pki.Backdate).Before(c.NotBefore):
		return fmt.Errorf("it begins at %s only; compare the clocks", c.NotBefore.UTC().Format(time.RFC3339))
	case !now.Before(c.NotAfter):
		return fmt.Errorf("it ended at %s already; compare the clocks", c.NotAfter.UTC().Format(time.RFC3339))
	case c.NotAfter.After(tmpl.NotAfter.Add(endSlack)):
		return fmt.Errorf("it ends at %s; %s was asked for", c.NotAfter.UTC().Format(time.RFC3339), tmpl.NotAfter.UTC().Format(time.RFC3339))
	}
	l.NotAfter = c.NotAfter
	return checkChain(l, c, now)
}

func checkNames(c, tmpl *x509.Certificate) error {
	got, want := slices.Sorted(slices.Values(c.DNSNames)), slices.Sorted(slices.Values(tmpl.DNSNames))
	if !slices.Equal(slices.Compact(got), slices.Compact(want)) {
		return fmt.Errorf("its DNS names are %q; %q were asked for", c.DNSNames, tmpl.DNSNames)
	}
	if cn := c.Subject.CommonName; cn != "" && cn != tmpl.Subject.CommonName && !slices.Contains(want, cn) {
		return fmt.Errorf("its common name is %q; %q was asked for", cn, tmpl.Subject.CommonName)
	}
	if len(c.IPAddresses) > 0 || len(c.EmailAddresses) > 0 {
		return fmt.Errorf("it has IP addresses %v and e-mail addresses %v, which were not asked for", c.IPAddresses, c.EmailAddresses)
	}
	uris := func(c *x509.Certificate) (out []string) {
		for _, u := range c.URIs {
			out = append(out, u.String())
		}
		return out
	}
	if !slices.Equal(uris(c), uris(tmpl)) {
		return fmt.Errorf("its URIs are %q; %q were asked for", uris(c), uris(tmpl))
	}
	return nil
}

// checkChain verifies the certificate as a peer would, as a server and as a client.
func checkChain(l *signer.Leaf, c *x509.Certificate, now time.Time) error {
	if l.Root == nil {
		return errors.New("the authority does not say which root it chains to; use one that does (for cert-manager: status.ca of a CertificateRequest)")
	}
	if !l.Root.IsCA {
		return fmt.Errorf("the root it came with is not a CA (subject %s)", l.Root.Subject)
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(l.Root)
	for _, i := range l.Chain {
		between.AddCert(i)
	}
	at := now
	if at.Before(c.NotBefore) {
		at = c.NotBefore // a clock that lags was allowed for above
	}
	for usage, word := range map[x509.ExtKeyUsage]string{x509.ExtKeyUsageServerAuth: "server", x509.ExtKeyUsageClientAuth: "client"} {
		_, err := c.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{usage}})
		if err != nil {
			return fmt.Errorf("it does not serve as a %s certificate under the root it came with (subject %s): %w", word, l.Root.Subject, err)
		}
	}
	return nil
}

// Assemble makes a leaf of what authorities answer: certificates as PEM, the leaf first, then others in any order, and roots as
// PEM, which may be missing. The root is the certificate that ends the leaf's chain: one of roots, or a self-signed one that
// came along.
func Assemble(key crypto.Signer, certsPEM, rootsPEM []byte) (*signer.Leaf, error) {
	list, err := signer.ParseCertificates(certsPEM)
	if err != nil {
		return nil, fmt.Errorf("the answer %w", err)
	}
	var roots []*x509.Certificate
	if len(rootsPEM) > 0 {
		if roots, err = signer.ParseCertificates(rootsPEM); err != nil {
			return nil, fmt.Errorf("the root in the answer %w", err)
		}
	}
	leaf := &signer.Leaf{DER: list[0].Raw, NotAfter: list[0].NotAfter, Key: key}
	rest := append(slices.Clone(list[1:]), roots...)
	for c := list[0]; ; {
		i := slices.IndexFunc(rest, func(p *x509.Certificate) bool { return !p.Equal(c) && c.CheckSignatureFrom(p) == nil })
		if i < 0 {
			break
		}
		c = rest[i]
		rest = slices.Delete(rest, i, i+1)
		leaf.Chain = append(leaf.Chain, c)
	}
	// The chain's end is the root, whether it signed itself or is an intermediate that the authority trusts as it is.
	if n := len(leaf.Chain); n > 0 {
		leaf.Root, leaf.Chain = leaf.Chain[n-1], leaf.Chain[:n-1]
		if leaf.Root.CheckSignatureFrom(leaf.Root) != nil {
			leaf.Chain = append(leaf.Chain, leaf.Root) // an intermediate is sent, as verifiers that know its root need it
		}
	}
	return leaf, nil
}
