package certs

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"openservicemesh.io/osm/internal/certs/certtest"
	"openservicemesh.io/osm/internal/certs/signer"
	"openservicemesh.io/osm/internal/certs/tresor"
	"openservicemesh.io/osm/internal/obs/errcode"
)

// clock is a wall clock the test moves.
type clock struct{ ns atomic.Int64 }

func newClock(t time.Time) *clock {
	c := &clock{}
	c.ns.Store(t.UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()) }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

// fakeSecrets tells reflectors that a fake does not stream lists.
type fakeSecrets struct{ Secrets }

func (fakeSecrets) IsWatchListSemanticsUnSupported() bool { return true }

func testConfig(client *fake.Clientset, c *clock) Config {
	return Config{Secrets: fakeSecrets{client.CoreV1().Secrets("osm-system")}, Namespace: "osm-system", MeshName: "osm", Log: slog.New(slog.DiscardHandler), Now: c.now, Overlap: 2 * time.Second}
}

func caSecret(data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "osm-ca-bundle", Namespace: "osm-system"}, Data: data}
}

func open(t testing.TB, client *fake.Clientset, c *clock) *Authority {
	t.Helper()
	a, err := Open(context.Background(), testConfig(client, c))
	require.NoError(t, err)
	return a
}

func TestOpenCreatesTheSecretOnce(t *testing.T) {
	client := fake.NewClientset()
	a := open(t, client, newClock(certtest.Now))
	s, err := client.CoreV1().Secrets("osm-system").Get(t.Context(), "osm-ca-bundle", metav1.GetOptions{})
	require.NoError(t, err)
	require.Len(t, s.Data, 2)
	require.Equal(t, a.TrustBundle(), s.Data["ca.crt"])
	require.Equal(t, map[string]string{"app.kubernetes.io/name": "openservicemesh.io", "app.kubernetes.io/instance": "osm"}, s.Labels)
	require.Equal(t, certtest.Now.Add(87600*time.Hour), a.RootNotAfter())
	require.Equal(t, a.RootID(), open(t, client, newClock(certtest.Now)).RootID(), "a second start must find the first's root")
}

// Two replicas of the controller and two of the injector start at once on an empty namespace: all must end with one root.
func TestOpenRace(t *testing.T) {
	for range 20 {
		client := fake.NewClientset()
		const replicas = 4
		// Every replica's first read finds nothing, so that all of them try to create: the widest race there is.
		var gets atomic.Int32
		client.PrependReactor("get", "secrets", func(k8stesting.Action) (bool, runtime.Object, error) {
			if gets.Add(1) > replicas {
				return false, nil, nil
			}
			return true, nil, apierrors.NewNotFound(corev1.Resource("secrets"), "osm-ca-bundle")
		})
		ids := make([]string, replicas)
		var all sync.WaitGroup
		for i := range ids {
			all.Go(func() {
				a, err := Open(context.Background(), testConfig(client, newClock(certtest.Now)))
				if err == nil {
					ids[i] = a.RootID()
				}
			})
		}
		all.Wait()
		for _, id := range ids {
			require.NotEmpty(t, id)
			require.Equal(t, ids[0], id)
		}
	}
}

func TestOpenFailures(t *testing.T) {
	t.Run("malformed is kept as it is", func(t *testing.T) {
		client := fake.NewClientset(caSecret(map[string][]byte{"ca.crt": []byte("x"), "private.key": []byte("y")}))
		_, err := Open(t.Context(), testConfig(client, newClock(certtest.Now)))
		require.Equal(t, errcode.DecodingCertPEM, errcode.Of(err))
		for _, a := range client.Actions() {
			require.Equal(t, "get", a.GetVerb())
		}
	})
	t.Run("forbidden", func(t *testing.T) {
		client := fake.NewClientset()
		client.PrependReactor("get", "secrets", func(k8stesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewForbidden(corev1.Resource("secrets"), "osm-ca-bundle", errors.New("no"))
		})
		_, err := Open(t.Context(), testConfig(client, newClock(certtest.Now)))
		require.Equal(t, errcode.FetchingCertSecret, errcode.Of(err))
		require.ErrorContains(t, err, "cannot read Secret osm-system/osm-ca-bundle")
	})
	t.Run("cannot create", func(t *testing.T) {
		client := fake.NewClientset()
		client.PrependReactor("create", "secrets", func(k8stesting.Action) (bool, runtime.Object, error) {
			return true, nil, errors.New("disk full")
		})
		_, err := Open(t.Context(), testConfig(client, newClock(certtest.Now)))
		require.Equal(t, errcode.CreatingCertSecret, errcode.Of(err))
		require.ErrorContains(t, err, "disk full")
	})
	t.Run("created and deleted for ever", func(t *testing.T) {
		client := fake.NewClientset()
		client.PrependReactor("create", "secrets", func(k8stesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewAlreadyExists(corev1.Resource("secrets"), "osm-ca-bundle")
		})
		_, err := Open(t.Context(), testConfig(client, newClock(certtest.Now)))
		require.ErrorContains(t, err, "created and deleted by others")
	})
}

// run starts the watch and returns once it is under way.
func run(t *testing.T, a *Authority, client *fake.Clientset) {
	t.Helper()
	watching := make(chan struct{}, 1)
	client.PrependWatchReactor("secrets", func(k8stesting.Action) (bool, watch.Interface, error) {
		select {
		case watching <- struct{}{}:
		default:
		}
		return false, nil, nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = a.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	waitFor(t, watching)
	time.Sleep(50 * time.Millisecond) // the fake's watch is registered just after its reactors ran
}

func waitFor[T any](t *testing.T, c <-chan T) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(10 * time.Second):
		require.FailNow(t, "nothing happened within 10 s")
	}
}

func update(t *testing.T, client *fake.Clientset, data map[string][]byte) {
	t.Helper()
	_, err := client.CoreV1().Secrets("osm-system").Update(t.Context(), caSecret(data), metav1.UpdateOptions{})
	require.NoError(t, err)
}

// A new root must be trusted before it signs, and the old one after it stopped: else handshakes fail in between.
func TestRootChangeOverlaps(t *testing.T) {
	oldCA, oldData := certtest.NewCA(t, "old")
	newCert, newData := certtest.NewCA(t, "new")
	client, c := fake.NewClientset(caSecret(oldData)), newClock(certtest.Now)
	a := open(t, client, c)
	run(t, a, client)
	require.Equal(t, string(signer.CertificatePEM(oldCA)), string(a.TrustBundle()))
	s, err := a.ServerCert(t.Context(), "ads.cluster.local")
	require.NoError(t, err)
	oldID := a.RootID()

	first, reissue := a.Changed(), NewIssuer(a, "cluster.local").Changed()
	update(t, client, newData)
	waitFor(t, first)
	require.Equal(t, oldID, a.RootID(), "the new root signs before it is trusted everywhere")
	select {
	case <-reissue:
		require.Fail(t, "certificates issued anew while the old root still signs")
	default:
	}
	both := func() {
		pool := x509.NewCertPool()
		require.True(t, pool.AppendCertsFromPEM(a.TrustBundle()))
		want := x509.NewCertPool()
		want.AddCert(oldCA)
		want.AddCert(newCert)
		require.True(t, want.Equal(pool))
	}
	both()
	require.Eventually(t, func() bool { return a.RootID() != oldID }, 10*time.Second, time.Millisecond)
	waitFor(t, reissue)
	both()
	served, err := s.GetCertificate(nil)
	require.NoError(t, err)
	require.NoError(t, served.Leaf.CheckSignatureFrom(newCert), "the server certificate must follow the root")

	third := a.Changed()
	c.advance(25 * time.Hour)
	a.step()
	waitFor(t, third)
	require.Equal(t, string(signer.CertificatePEM(newCert)), string(a.TrustBundle()), "the old root outlived its last certificate")
}

func TestWatchKeepsTheRootWhenTheSecretGoesBad(t *testing.T) {
	_, data := certtest.NewCA(t, "ca")
	client := fake.NewClientset(caSecret(data))
	cfg := testConfig(client, newClock(certtest.Now))
	warned := make(warnings, 10)
	cfg.Events = warned
	a, err := Open(t.Context(), cfg)
	require.NoError(t, err)
	run(t, a, client)
	changed, id, bundle := a.Changed(), a.RootID(), string(a.TrustBundle())
	update(t, client, map[string][]byte{"ca.crt": []byte("x"), "private.key": []byte("y")})
	require.NoError(t, client.CoreV1().Secrets("osm-system").Delete(t.Context(), "osm-ca-bundle", metav1.DeleteOptions{}))
	_, next := certtest.NewCA(t, "next")
	_, err = client.CoreV1().Secrets("osm-system").Create(t.Context(), caSecret(next), metav1.CreateOptions{})
	require.NoError(t, err)
	waitFor(t, changed) // the good one after the two bad ones is noticed
	require.Contains(t, <-warned, "CertificateRotationFailure: the mesh goes on with root certificate "+id+": Secret osm-system/osm-ca-bundle: key ca.crt")
	require.Contains(t, <-warned, "Secret osm-system/osm-ca-bundle was deleted")
	require.Equal(t, id, a.trust.Load().signer.ID)
	require.Contains(t, string(a.TrustBundle()), bundle[:len(bundle)-1])
}

func TestOfferKnowsWhatIsNew(t *testing.T) {
	parse := func(data map[string][]byte) *signer.Root {
		r, err := tresor.Provider{}.Parse("ns/s", data, certtest.Now)
		require.NoError(t, err)
		return r
	}
	_, one := certtest.NewCA(t, "one")
	twoCert, two := certtest.NewCA(t, "two")
	t0 := newTrust(trust{signer: parse(one)}, certtest.Now)
	require.Nil(t, t0.offer(parse(one), certtest.Now), "the same root again is no change")

	t1 := t0.offer(parse(two), certtest.Now)
	require.Equal(t, parse(two).ID, t1.next.ID)
	require.True(t, t1.accepts(parse(one).ID) && t1.accepts(parse(two).ID))
	require.Nil(t, t1.offer(parse(two), certtest.Now))

	back := t1.offer(parse(one), certtest.Now)
	require.Nil(t, back.next, "a change taken back within the overlap")
	require.Equal(t, t0.bundle, back.bundle)

	more := certtest.Secret(append(append([]byte{}, one["ca.crt"]...), signer.CertificatePEM(twoCert)...), one["private.key"])
	wider := t0.offer(parse(more), certtest.Now)
	require.Nil(t, wider.next, "one more trusted root needs no new signer")
	require.Equal(t, t1.bundle, wider.bundle, "equal trust must be equal bytes")
}

type warnings chan string

func (w warnings) Warn(_ context.Context, reason string, err error) { w <- reason + ": " + err.Error() }
