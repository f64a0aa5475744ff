package remote

import (
	"context"
	"crypto/elliptic"
	"crypto/x509"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/certs/certtest"
	"openservicemesh.io/osm/internal/certs/signer"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/pki"
	"openservicemesh.io/osm/internal/obs/errcode"
)

func template(t *testing.T) *x509.Certificate {
	t.Helper()
	tmpl, err := pki.Workload(meshid.Identity{Namespace: "shop", ServiceAccount: "cart"}, "cluster.local", pki.NewWindow(certtest.Now, 24*time.Hour, time.Time{}))
	require.NoError(t, err)
	return tmpl
}

func provider(a Asker) *Provider {
	p := New(a, "ads.cluster.local")
	p.now = func() time.Time { return certtest.Now }
	return p
}

// An answer that says anything but what was asked must not become anybody's certificate.
func TestAnswersAreChecked(t *testing.T) {
	stranger := certtest.NewAuthority(t, "stranger")
	edit := func(f func(*x509.Certificate)) func(*certtest.Authority) {
		return func(a *certtest.Authority) { a.Edit = f }
	}
	result := func(f func(*signer.Leaf)) func(*certtest.Authority) {
		return func(a *certtest.Authority) { a.Result = f }
	}
	for name, tt := range map[string]struct {
		lie  func(*certtest.Authority)
		want string
	}{
		"honest":           {func(*certtest.Authority) {}, ""},
		"shorter":          {edit(func(c *x509.Certificate) { c.NotAfter = certtest.Now.Add(time.Hour) }), ""},
		"no common name":   {edit(func(c *x509.Certificate) { c.Subject.CommonName = "" }), ""},
		"clock behind":     {edit(func(c *x509.Certificate) { c.NotBefore = certtest.Now.Add(time.Minute) }), ""},
		"another's name":   {edit(func(c *x509.Certificate) { c.DNSNames = []string{"admin.shop.cluster.local"} }), "its DNS names are"},
		"one name more":    {edit(func(c *x509.Certificate) { c.DNSNames = append(c.DNSNames, "admin.shop.cluster.local") }), "its DNS names are"},
		"wildcard":         {edit(func(c *x509.Certificate) { c.DNSNames = append(c.DNSNames, "*.cluster.local") }), "its DNS names are"},
		"no name":          {edit(func(c *x509.Certificate) { c.DNSNames = nil }), "its DNS names are"},
		"other CN":         {edit(func(c *x509.Certificate) { c.Subject.CommonName = "admin.shop.cluster.local" }), "its common name is"},
		"IP address":       {edit(func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(1, 2, 3, 4)} }), "IP addresses"},
		"e-mail":           {edit(func(c *x509.Certificate) { c.EmailAddresses = []string{"a@b"} }), "e-mail"},
		"URI":              {edit(func(c *x509.Certificate) { c.URIs = []*url.URL{{Scheme: "spiffe", Host: "a"}} }), "its URIs are"},
		"a CA":             {edit(func(c *x509.Certificate) { c.IsCA = true; c.KeyUsage = x509.KeyUsageCertSign }), "it is a CA"},
		"server only":      {edit(func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[:1] }), "does not serve as a client certificate"},
		"client only":      {edit(func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[1:] }), "does not serve as a server certificate"},
		"longer":           {edit(func(c *x509.Certificate) { c.NotAfter = certtest.Now.Add(48 * time.Hour) }), "it ends at"},
		"over":             {edit(func(c *x509.Certificate) { c.NotAfter = certtest.Now }), "it ended at"},
		"not yet":          {edit(func(c *x509.Certificate) { c.NotBefore = certtest.Now.Add(time.Hour) }), "it begins at"},
		"another's key":    {result(func(l *signer.Leaf) { l.Key = certtest.Key(t, elliptic.P256()) }), "not for the key"},
		"no root":          {result(func(l *signer.Leaf) { l.Root = nil }), "does not say which root"},
		"another's root":   {result(func(l *signer.Leaf) { l.Root = stranger.CA }), "under the root it came with"},
		"no certificate":   {result(func(l *signer.Leaf) { l.DER = []byte("x") }), "cannot be read"},
		"a leaf as a root": {result(func(l *signer.Leaf) { l.Root, _ = x509.ParseCertificate(l.DER) }), "is not a CA"},
	} {
		t.Run(name, func(t *testing.T) {
			a := certtest.NewAuthority(t, "outside")
			tt.lie(a)
			l, err := provider(a).Sign(t.Context(), template(t))
			if tt.want == "" {
				require.NoError(t, err)
				c, err := x509.ParseCertificate(l.DER)
				require.NoError(t, err)
				require.Equal(t, c.NotAfter, l.NotAfter)
				return
			}
			require.ErrorContains(t, err, "the certificate for cart.shop.cluster.local from the test's authority is refused: ")
			require.ErrorContains(t, err, tt.want)
			require.Equal(t, errcode.InvalidCA, errcode.Of(err))
		})
	}
}

// An authority that hangs must hold nobody up for longer than patience, and get no more than atOnce questions.
func TestAHangingAuthorityIsAskedLittle(t *testing.T) {
	a := certtest.NewAuthority(t, "outside")
	a.Set(func(a *certtest.Authority) { a.Hang = true })
	p := provider(a)
	p.patience = 200 * time.Millisecond
	var all sync.WaitGroup
	errs := make([]error, 3*atOnce)
	start := time.Now()
	for i := range errs {
		all.Go(func() { _, errs[i] = p.Sign(context.Background(), template(t)) })
	}
	all.Wait()
	require.Less(t, time.Since(start), 5*time.Second)
	for _, err := range errs {
		require.Equal(t, errcode.IssuingCert, errcode.Of(err))
		require.ErrorContains(t, err, "the test's authority has not answered within 200ms")
	}
	require.Equal(t, atOnce, a.Most)

	a.Set(func(a *certtest.Authority) { a.Hang = false })
	_, err := p.Sign(t.Context(), template(t))
	require.NoError(t, err, "the slots are free again")
}

func TestTheSecretHoldsRootsAlone(t *testing.T) {
	a := certtest.NewAuthority(t, "outside")
	p := provider(a)
	r, data, err := p.Create(t.Context(), certtest.Now)
	require.NoError(t, err)
	require.Len(t, data, 1)
	require.Equal(t, string(signer.CertificatePEM(a.CA)), string(data["ca.crt"]))
	require.False(t, r.KeyInSecret)

	again, err := p.Parse("ns/s", data, certtest.Now)
	require.NoError(t, err)
	require.Equal(t, r.ID, again.ID)
	require.Equal(t, []*x509.Certificate{a.CA}, again.Trusted)

	_, former := certtest.NewCA(t, "former")
	both := append(append([]byte{}, data["ca.crt"]...), former["ca.crt"]...)
	wider, err := p.Parse("ns/s", certtest.Secret(both, former["private.key"]), certtest.Now)
	require.NoError(t, err)
	require.Equal(t, r.ID, wider.ID, "the first one signs")
	require.Len(t, wider.Trusted, 2)

	_, err = p.Parse("ns/s", nil, certtest.Now)
	require.ErrorContains(t, err, "Secret ns/s: key ca.crt holds no PEM block CERTIFICATE")
}

func TestAssembleFindsTheRoot(t *testing.T) {
	topKey, subKey, leafKey := certtest.Key(t, elliptic.P256()), certtest.Key(t, elliptic.P256()), certtest.Key(t, elliptic.P256())
	top := certtest.CA(t, "top", topKey, nil, nil, nil)
	sub := certtest.CA(t, "sub", subKey, top, topKey, nil)
	leaf := certtest.CA(t, "leaf", leafKey, sub, subKey, func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature })
	join := func(list ...*x509.Certificate) (out []byte) {
		for _, c := range list {
			out = append(out, signer.CertificatePEM(c)...)
		}
		return out
	}
	for name, tt := range map[string]struct {
		certs, roots []byte
		root         *x509.Certificate
		chain        []*x509.Certificate
	}{
		"root apart":                    {join(leaf, sub), join(top), top, []*x509.Certificate{sub}},
		"root in the chain":             {join(leaf, sub, top), nil, top, []*x509.Certificate{sub}},
		"root twice, odd order":         {join(leaf, top, sub), join(top), top, []*x509.Certificate{sub}},
		"an intermediate is the anchor": {join(leaf), join(sub), sub, []*x509.Certificate{sub}},
		"no root":                       {join(leaf), nil, nil, nil},
		"a root that did not sign":      {join(leaf), join(certtest.NewAuthority(t, "other").CA), nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := Assemble(leafKey, tt.certs, tt.roots)
			require.NoError(t, err)
			require.Equal(t, leaf.Raw, l.DER)
			require.Equal(t, tt.root, l.Root)
			require.Equal(t, tt.chain, append([]*x509.Certificate(nil), l.Chain...))
		})
	}
}
