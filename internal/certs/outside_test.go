package certs

import (
	"context"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes/fake"

	config "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/internal/certs/certtest"
	"openservicemesh.io/osm/internal/certs/remote"
	"openservicemesh.io/osm/internal/certs/signer"
	"openservicemesh.io/osm/internal/core/rootplan"
)

// outside is an Authority whose certificates come from elsewhere; time runs as it does for everybody.
func outside(t *testing.T, client *fake.Clientset, asker *certtest.Authority, edit ...func(*Config)) (*Authority, *clock) {
	t.Helper()
	c := newClock(time.Now())
	cfg := testConfig(client, c)
	cfg.Provider = remote.New(asker, "ads.cluster.local")
	for _, e := range edit {
		e(&cfg)
	}
	a, err := Open(t.Context(), cfg)
	require.NoError(t, err)
	return a, c
}

func bundleSecret(t *testing.T, client *fake.Clientset) *corev1.Secret {
	t.Helper()
	s, err := client.CoreV1().Secrets("osm-system").Get(t.Context(), "osm-ca-bundle", metav1.GetOptions{})
	require.NoError(t, err)
	return s
}

func TestAnAuthorityOutside(t *testing.T) {
	client, asker := fake.NewClientset(), certtest.NewAuthority(t, "outside")
	a, _ := outside(t, client, asker)
	require.Equal(t, map[string][]byte{"ca.crt": signer.CertificatePEM(asker.CA)}, bundleSecret(t, client).Data, "the root alone, and no key")
	require.Equal(t, string(signer.CertificatePEM(asker.CA)), string(a.TrustBundle()))

	i := NewIssuer(a, "cluster.local")
	res, renew, err := i.Issue(t.Context(), bookbuyer)
	require.NoError(t, err)
	_, pair := decode(t, res)
	require.NoError(t, pair.Leaf.CheckSignatureFrom(asker.CA))
	require.Equal(t, []string{"bookbuyer.bookbuyer.cluster.local"}, pair.Leaf.DNSNames)
	require.WithinRange(t, renew, time.Now().Add(9*time.Hour), time.Now().Add(12*time.Hour))
	again, ok := i.Current(bookbuyer, res.Version)
	require.True(t, ok)
	require.WithinDuration(t, renew, again, 3*time.Hour)

	other, _ := outside(t, client, asker)
	require.Equal(t, a.RootID(), other.RootID(), "another replica finds the root in the Secret")
}

// Certificates of a root that is new must not be shown to those who have not been told of it.
func TestAnAuthorityOutsideChangesItsRoot(t *testing.T) {
	client, asker := fake.NewClientset(), certtest.NewAuthority(t, "old")
	a, _ := outside(t, client, asker, func(c *Config) { c.Overlap = 300 * time.Millisecond })
	run(t, a, client)
	s, err := a.ServerCert(t.Context(), "ads.cluster.local")
	require.NoError(t, err)
	oldCA, oldID := asker.CA, a.RootID()
	i := NewIssuer(a, "cluster.local")
	told, reissue := a.Changed(), i.Changed()

	asker.Renew("new")
	start := time.Now()
	res, _, err := i.Issue(t.Context(), bookbuyer)
	require.NoError(t, err)
	require.GreaterOrEqual(t, time.Since(start), 300*time.Millisecond, "handed out before everybody was told")
	waitFor(t, told)
	waitFor(t, reissue)
	require.NotEqual(t, oldID, a.RootID())
	_, pair := decode(t, res)
	require.NoError(t, pair.Leaf.CheckSignatureFrom(asker.CA))

	both := x509.NewCertPool()
	both.AddCert(oldCA)
	both.AddCert(asker.CA)
	require.True(t, both.Equal(pool(t, a.TrustBundle())))
	require.True(t, both.Equal(pool(t, bundleSecret(t, client).Data["ca.crt"])), "replicas that start later trust both")
	served, err := s.GetCertificate(nil)
	require.NoError(t, err)
	require.NoError(t, served.Leaf.CheckSignatureFrom(asker.CA))
}

// A mesh that had its own root gets an authority outside: its key stays until replicas that need it are gone, and so does trust.
func TestFromTresorToAnAuthorityOutside(t *testing.T) {
	formerCA, data := certtest.NewCA(t, "former")
	client, asker := fake.NewClientset(caSecret(data)), certtest.NewAuthority(t, "outside")
	former := open(t, client, newClock(certtest.Now))
	run(t, former, client)
	told := former.Changed()

	a, _ := outside(t, client, asker, func(c *Config) { c.Overlap = 200 * time.Millisecond })
	run(t, a, client)
	s, err := a.ServerCert(t.Context(), "ads.cluster.local")
	require.NoError(t, err)
	served, err := s.GetCertificate(nil)
	require.NoError(t, err)
	require.NoError(t, served.Leaf.CheckSignatureFrom(asker.CA))
	waitFor(t, told)
	both := x509.NewCertPool()
	both.AddCert(formerCA)
	both.AddCert(asker.CA)
	require.True(t, both.Equal(pool(t, former.TrustBundle())), "a replica that still signs by itself must trust the new root")
	require.True(t, both.Equal(pool(t, a.TrustBundle())))
	require.Equal(t, data["private.key"], bundleSecret(t, client).Data["private.key"])
	_, _, err = NewIssuer(a, "cluster.local").Issue(t.Context(), bookbuyer)
	require.NoError(t, err)
}

// While the authority is away nothing that serves stops serving, and it is told once, not with every try.
func TestAnAuthorityOutsideIsAway(t *testing.T) {
	client, asker := fake.NewClientset(), certtest.NewAuthority(t, "outside")
	warned := make(warnings, 10)
	a, c := outside(t, client, asker, func(c *Config) { c.Events = warned })
	s, err := a.ServerCert(t.Context(), "ads.cluster.local")
	require.NoError(t, err)
	first, err := s.GetCertificate(nil)
	require.NoError(t, err)

	asker.Set(func(a *certtest.Authority) { a.Err = errors.New("closed for lunch") })
	c.advance(13 * time.Hour) // renewal is due
	start := time.Now()
	for range 20 {
		got, err := s.GetCertificate(nil)
		require.NoError(t, err)
		require.Same(t, first, got)
	}
	require.Less(t, time.Since(start), 2*time.Second, "handshakes wait for an authority that is away")
	i := NewIssuer(a, "cluster.local")
	_, _, err = i.Issue(t.Context(), bookbuyer)
	require.ErrorContains(t, err, "no certificate for bookbuyer.bookbuyer.cluster.local from the test's authority: closed for lunch")
	require.Contains(t, <-warned, "CertificateIssuanceFailure: no certificate for ads.cluster.local")
	require.Empty(t, warned)
	since, err := a.Outage()
	require.ErrorContains(t, err, "closed for lunch")
	require.WithinDuration(t, c.now(), since, time.Second)
	c.advance(6 * time.Minute)
	_, _, _ = i.Issue(t.Context(), bookbuyer)
	require.Contains(t, <-warned, "CertificateIssuanceFailure: no certificate for bookbuyer.bookbuyer.cluster.local")

	c.advance(12 * time.Hour) // the certificate has expired
	_, err = s.GetCertificate(nil)
	require.ErrorContains(t, err, "closed for lunch")
}

func TestAnAuthorityOutsideThatHangsHoldsUpNoHandshake(t *testing.T) {
	client, asker := fake.NewClientset(), certtest.NewAuthority(t, "outside")
	a, c := outside(t, client, asker)
	s, err := a.ServerCert(t.Context(), "ads.cluster.local")
	require.NoError(t, err)
	asker.Set(func(a *certtest.Authority) { a.Hang = true })
	c.advance(13 * time.Hour)
	start := time.Now()
	for range 50 {
		_, err := s.GetCertificate(nil)
		require.NoError(t, err)
	}
	require.Less(t, time.Since(start), 2*time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, _, err = NewIssuer(a, "cluster.local").Issue(ctx, bookbuyer)
	require.Error(t, err)
}

// Objects of MeshRootCertificates and an authority outside: the objects have no effect and say so.
func TestObjectsInAMeshOfAnAuthorityOutside(t *testing.T) {
	w, asker := newObjectsWorld(t, true), certtest.NewAuthority(t, "outside")
	w.create("osm-mesh-root-certificate", "active", "osm-ca-bundle")
	cfg := w.config()
	cfg.Provider = remote.New(asker, "ads.cluster.local")
	a, err := Open(w.ctx, cfg)
	require.NoError(t, err)
	go func() { _ = a.Run(w.ctx) }()
	require.False(t, a.Roots().On)
	p := a.Roots().Problems["osm-mesh-root-certificate"]
	require.Equal(t, "ProviderElsewhere", p.Reason)
	require.Contains(t, p.Message, "spec.provider: the mesh's certificates come from the test's authority, as the chart value osm.certificateProvider.kind says")

	asker.Renew("next")
	res, _, err := NewIssuer(a, "cluster.local").Issue(t.Context(), bookbuyer)
	require.NoError(t, err, "the root of the authority changes as it does without objects")
	_, pair := decode(t, res)
	require.NoError(t, pair.Leaf.CheckSignatureFrom(asker.CA))
}

// Sidecars of a mesh that follows objects trust their roots alone: certificates from elsewhere would be refused.
func TestTheProviderIsNotChangedWhileObjectsCount(t *testing.T) {
	w, asker := newObjectsWorld(t, true), certtest.NewAuthority(t, "outside")
	w.create("osm-mesh-root-certificate", "active", "osm-ca-bundle")
	replicas := map[string][]string{rootplan.ComponentController: {"a"}}
	w.replica("a", rootplan.ComponentController, true, replicas)
	w.becomes("osm-mesh-root-certificate", "active")
	outside := w.config()
	outside.Provider = remote.New(asker, "ads.cluster.local")
	_, err := Open(w.ctx, outside)
	require.Error(t, Permanent(err))
	require.ErrorContains(t, err, "MeshRootCertificate osm-mesh-root-certificate of namespace osm-system: sidecars trust its root and would refuse certificates of the test's authority: "+
		"set spec.featureFlags.enableMeshRootCertificate of MeshConfig osm-mesh-config to false")

	w.flag(false)
	a, err := Open(w.ctx, outside)
	require.NoError(t, err)
	_, err = a.ServerCert(w.ctx, "ads.cluster.local")
	require.NoError(t, err)
	w.flag(true) // what the objects' statuses say is of the past
	_, err = Open(w.ctx, outside)
	require.NoError(t, err)
}

// An object of another provider than tresor leaves the mesh as it is, and says what to do instead.
func TestObjectsOfOtherProviders(t *testing.T) {
	for name, tt := range map[string]struct {
		provider map[string]any
		want     string
	}{
		"vault": {map[string]any{"vault": map[string]any{"host": "vault.example.com"}},
			`spec.provider.vault: host "vault.example.com": a MeshRootCertificate has a root of the provider tresor; delete the object; ` +
				"a mesh gets its certificates from there with the chart value osm.certificateProvider.kind=vault"},
		"cert-manager": {map[string]any{"certManager": map[string]any{"issuerName": "ca"}}, `spec.provider.certManager: issuerName "ca": `},
		"none":         {map[string]any{}, "spec.provider: is empty: a MeshRootCertificate has a root of the provider tresor; name a Secret"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newObjectsWorld(t, true)
			w.create("a", "active", "osm-ca-bundle")
			_, err := w.dynamic.Resource(config.MeshRootCertificates).Namespace("osm-system").Create(w.ctx, &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "config.openservicemesh.io/v1alpha2", "kind": "MeshRootCertificate",
				"metadata": map[string]any{"namespace": "osm-system", "name": "b"},
				"spec":     map[string]any{"role": "active", "trustDomain": "cluster.local", "provider": tt.provider},
			}}, metav1.CreateOptions{})
			require.NoError(t, err)
			a, err := Open(w.ctx, w.config())
			require.NoError(t, err)
			require.Equal(t, "a", a.Roots().Target)
			require.Equal(t, "ProviderNotAvailable", a.Roots().Problems["b"].Reason)
			require.Contains(t, a.Roots().Problems["b"].Message, tt.want)
		})
	}
}
