package gatewaycert

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"openservicemesh.io/osm/internal/certs"
)

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) get() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

func (c *clock) advance(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.now = c.now.Add(d) }

type fixture struct {
	*Keeper
	t    *testing.T
	kube *fake.Clientset
	c    *clock
	a    *certs.Authority
}

func newFixture(t *testing.T, secrets ...*corev1.Secret) *fixture {
	t.Helper()
	f := &fixture{t: t, kube: fake.NewSimpleClientset(), c: &clock{now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}}
	for _, s := range secrets {
		require.NoError(t, f.kube.Tracker().Add(s))
	}
	var err error
	f.a, err = certs.Open(t.Context(), certs.Config{Secrets: f.kube.CoreV1().Secrets("osm-system"), Namespace: "osm-system", Log: slog.New(slog.DiscardHandler), Now: f.c.get})
	require.NoError(t, err)
	f.Keeper = New(Options{
		Secrets:   func(ns string) Secrets { return f.kube.CoreV1().Secrets(ns) },
		Authority: f.a, MeshName: "osm", Log: slog.New(slog.DiscardHandler), Now: f.c.get,
	})
	return f
}

func (f *fixture) secret(name string) *corev1.Secret {
	f.t.Helper()
	s, err := f.kube.CoreV1().Secrets("osm-system").Get(f.t.Context(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	require.NoError(f.t, err)
	return s
}

func leaf(t *testing.T, s *corev1.Secret) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(s.Data["tls.crt"])
	c, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	return c
}

var gateway = Want{Namespace: "osm-system", Name: "gw", Names: "a.ingress.cluster.local,b.example.com", Validity: 24 * time.Hour}

func TestTheSecret(t *testing.T) {
	f := newFixture(t)
	pause, err := f.step(t.Context(), Want{}, gateway)
	require.NoError(t, err)
	require.Equal(t, 12*time.Hour, pause)
	s := f.secret("gw")
	require.Equal(t, corev1.SecretTypeTLS, s.Type)
	require.Len(t, s.Data, 3)
	require.Equal(t, f.a.TrustBundle(), s.Data["ca.crt"])
	c := leaf(t, s)
	require.Equal(t, []string{"a.ingress.cluster.local", "b.example.com"}, c.DNSNames, "all names, not the first alone")
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(s.Data["ca.crt"]))
	_, err = c.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: f.c.get(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	require.NoError(t, err)
	require.Equal(t, f.c.get().Add(24*time.Hour), c.NotAfter)
	key, _ := pem.Decode(s.Data["tls.key"])
	_, err = x509.ParsePKCS8PrivateKey(key.Bytes)
	require.NoError(t, err)
}

func TestItIsKeptAndRenewed(t *testing.T) {
	f := newFixture(t)
	step := func(want Want) *corev1.Secret {
		t.Helper()
		_, err := f.step(t.Context(), gateway, want)
		require.NoError(t, err)
		return f.secret("gw")
	}
	first := step(gateway)
	f.c.advance(11 * time.Hour)
	require.Equal(t, first, step(gateway), "nothing is due")
	f.c.advance(2 * time.Hour)
	second := step(gateway)
	require.NotEqual(t, leaf(t, first).SerialNumber, leaf(t, second).SerialNumber, "half its life is over")

	other := gateway
	other.Names = "c.example.com"
	require.Equal(t, []string{"c.example.com"}, leaf(t, step(other)).DNSNames)
	other.Validity = time.Hour
	require.Equal(t, f.c.get().Add(time.Hour), leaf(t, step(other)).NotAfter)

	broken := f.secret("gw").DeepCopy()
	broken.Data["ca.crt"] = []byte("x")
	_, err := f.kube.CoreV1().Secrets("osm-system").Update(t.Context(), broken, metav1.UpdateOptions{})
	require.NoError(t, err)
	require.Equal(t, f.a.TrustBundle(), step(other).Data["ca.crt"])
	require.NoError(t, f.kube.CoreV1().Secrets("osm-system").Delete(t.Context(), "gw", metav1.DeleteOptions{}))
	require.NotNil(t, step(other), "deleted by somebody")
}

func TestItIsDeletedWhenNotWanted(t *testing.T) {
	f := newFixture(t)
	_, err := f.step(t.Context(), Want{}, gateway)
	require.NoError(t, err)
	moved := gateway
	moved.Name = "other"
	_, err = f.step(t.Context(), gateway, moved)
	require.NoError(t, err)
	require.Nil(t, f.secret("gw"))
	require.NotNil(t, f.secret("other"))
	_, err = f.step(t.Context(), moved, Want{})
	require.NoError(t, err)
	require.Nil(t, f.secret("other"))
}

func TestSecretsOfOthersAreLeftAlone(t *testing.T) {
	foreign := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "osm-system", Name: "gw"}, Data: map[string][]byte{"x": []byte("y")}}
	f := newFixture(t, foreign)
	_, err := f.step(t.Context(), Want{}, gateway)
	require.ErrorContains(t, err, "Secret osm-system/gw is there already and is not the mesh's")
	_, err = f.step(t.Context(), gateway, Want{})
	require.NoError(t, err)
	require.Equal(t, foreign.Data, f.secret("gw").Data)
	_, err = f.step(t.Context(), Want{}, Want{Namespace: "osm-system", Name: "osm-ca-bundle", Names: "a.b", Validity: time.Hour})
	require.Error(t, err, "the root's own Secret")
}

func TestRunFollowsWishes(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); f.Run(ctx) }()
	f.Ask(gateway)
	require.Eventually(t, func() bool { return f.secret("gw") != nil }, 5*time.Second, 5*time.Millisecond)
	f.Ask(Want{})
	require.Eventually(t, func() bool { return f.secret("gw") == nil }, 5*time.Second, 5*time.Millisecond)
	cancel()
	<-done
}
