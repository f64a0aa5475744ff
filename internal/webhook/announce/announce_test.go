package announce

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	admissionregv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"openservicemesh.io/osm/internal/core/names"
)

type config = admissionregv1.MutatingWebhookConfiguration

const name = "osm-webhook-osm"

// version keeps a configuration of one webhook, whose name is the version, in a cluster in which that version stays or not.
func version(kube *fake.Clientset, v string, stays func() bool) Keeper[*config] {
	return Keeper[*config]{
		Client: kube.AdmissionregistrationV1().MutatingWebhookConfigurations(),
		Build: func(ca []byte) *config {
			return &config{
				ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{names.LabelAppVersion: v}},
				Webhooks:   []admissionregv1.MutatingWebhook{{Name: v, ClientConfig: admissionregv1.WebhookClientConfig{CABundle: ca}}},
			}
		},
		Same: func(have, want *config) bool {
			return have.Webhooks[0].Name == want.Webhooks[0].Name && string(have.Webhooks[0].ClientConfig.CABundle) == string(want.Webhooks[0].ClientConfig.CABundle)
		},
		Take:   func(have, want *config) { have.Webhooks = want.Webhooks },
		Stays:  func(context.Context) (bool, error) { return stays(), nil },
		Failed: func(verb string, err error) error { return errors.Join(errors.New(verb+" "+name), err) },
	}
}

func yes() bool { return true }

func read(t *testing.T, kube *fake.Clientset) *config {
	t.Helper()
	c, err := kube.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), name, metav1.GetOptions{})
	require.NoError(t, err)
	return c
}

func writes(kube *fake.Clientset) (n int) {
	for _, a := range kube.Actions() {
		if a.GetVerb() != "get" {
			n++
		}
	}
	return n
}

func ensure(t *testing.T, k Keeper[*config], ca string, how effort) bool {
	t.Helper()
	wrote, err := k.ensure(t.Context(), []byte(ca), how)
	require.NoError(t, err)
	return wrote
}

func TestOneVersion(t *testing.T) {
	kube := fake.NewClientset()
	k := version(kube, "v1", yes)
	require.False(t, ensure(t, k, "ca", mend), "an object that is gone stays gone unless asked")
	require.True(t, ensure(t, k, "ca", create))
	require.False(t, ensure(t, k, "ca", create), "nothing differs")

	have := read(t, kube)
	have.Labels["theirs"] = "own"
	have.Webhooks[0].Name = "edited"
	_, err := k.Client.Update(t.Context(), have, metav1.UpdateOptions{})
	require.NoError(t, err)
	require.False(t, ensure(t, k, "ca", takeOver), "without the reconciler an edit stays")
	require.True(t, ensure(t, k, "ca-two", mend))
	have = read(t, kube)
	require.Equal(t, "v1", have.Webhooks[0].Name)
	require.Equal(t, []byte("ca-two"), have.Webhooks[0].ClientConfig.CABundle)
	require.Equal(t, "own", have.Labels["theirs"])
}

// An upgrade from v1 to v2 and back: at no time does the version that leaves write what the other wrote.
func TestTwoVersions(t *testing.T) {
	kube, stays := fake.NewClientset(), "v1"
	v1 := version(kube, "v1", func() bool { return stays == "v1" })
	v2 := version(kube, "v2", func() bool { return stays == "v2" })
	is := func(v string) {
		t.Helper()
		have := read(t, kube)
		require.Equal(t, v, have.Webhooks[0].Name)
		require.Equal(t, v, have.Labels[names.LabelAppVersion])
	}
	require.True(t, ensure(t, v1, "ca", create))
	stays = "v2"
	require.True(t, ensure(t, v1, "ca-two", mend), "until v2 has written, v1 keeps its own in order")
	require.True(t, ensure(t, v2, "ca-two", create))
	is("v2")
	for _, how := range []effort{takeOver, mend, create} {
		require.False(t, ensure(t, v1, "ca-three", how))
	}
	is("v2")
	stays = "v1"
	require.False(t, ensure(t, v2, "ca-two", takeOver))
	require.True(t, ensure(t, v1, "ca-two", takeOver), "v1 takes over without starting again")
	is("v1")
	require.False(t, ensure(t, v2, "ca-two", create))
	require.False(t, ensure(t, v1, "ca-two", takeOver))
	is("v1")

	v2.Stays = func(context.Context) (bool, error) { return false, errors.New("forbidden") }
	_, err := v2.ensure(t.Context(), nil, create)
	require.ErrorContains(t, err, "update "+name+"\nforbidden")
}

func TestConflictsAreTriedAgain(t *testing.T) {
	kube := fake.NewClientset()
	k := version(kube, "v1", yes)
	k.Failed = func(_ string, err error) error { return errors.Join(errors.New(name), err) }
	require.True(t, ensure(t, k, "old", create))
	failures := 2
	kube.PrependReactor("update", "mutatingwebhookconfigurations", func(clienttesting.Action) (bool, runtime.Object, error) {
		if failures > 0 {
			failures--
			return true, nil, apierrors.NewConflict(schema.GroupResource{}, "x", nil)
		}
		return false, nil, nil
	})
	require.True(t, ensure(t, k, "new", create))
	kube.PrependReactor("get", "mutatingwebhookconfigurations", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{}, "x", nil)
	})
	_, err := k.ensure(t.Context(), []byte("new"), create)
	require.ErrorContains(t, err, name)
}

// root is a root certificate that can be changed.
type root struct {
	mu      sync.Mutex
	bundle  string
	changed chan struct{}
}

func (r *root) TrustBundle() []byte { r.mu.Lock(); defer r.mu.Unlock(); return []byte(r.bundle) }

func (r *root) Changed() <-chan struct{} { r.mu.Lock(); defer r.mu.Unlock(); return r.changed }

func (r *root) change(bundle string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.changed)
	r.bundle, r.changed = bundle, make(chan struct{})
}

func TestKeepFollowsTheRoot(t *testing.T) {
	kube, r := fake.NewClientset(), &root{bundle: "one", changed: make(chan struct{})}
	type look struct{ first, wrote bool }
	looks, ended := make(chan look, 10), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer close(ended)
		version(kube, "v1", yes).Keep(ctx, r, slog.New(slog.DiscardHandler), func(first, wrote bool) { looks <- look{first, wrote} })
	}()
	await := func() look {
		select {
		case l := <-looks:
			return l
		case <-time.After(10 * time.Second):
			require.FailNow(t, "nothing within 10 s")
		}
		return look{}
	}
	require.Equal(t, look{true, true}, await())
	r.change("two")
	require.Equal(t, look{false, true}, await())
	require.Equal(t, []byte("two"), read(t, kube).Webhooks[0].ClientConfig.CABundle)
	require.Equal(t, 2, writes(kube))
	cancel()
	<-ended
}
