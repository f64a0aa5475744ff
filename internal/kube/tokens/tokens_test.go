package tokens

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	authv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"

	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/xds"
)

const audience = "osm-ads.osm.osm-system"

// server answers token reviews and counts them.
type server struct {
	mu      sync.Mutex
	asked   int
	spec    authv1.TokenReviewSpec
	answer  authv1.TokenReviewStatus
	err     error
	release chan struct{}
}

func (s *server) authenticator() *Authenticator {
	c := fake.NewSimpleClientset()
	c.PrependReactor("create", "tokenreviews", func(action ktesting.Action) (bool, runtime.Object, error) {
		if s.release != nil {
			<-s.release
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.asked++
		review := action.(ktesting.CreateAction).GetObject().(*authv1.TokenReview).DeepCopy()
		s.spec, review.Status = review.Spec, s.answer
		return true, review, s.err
	})
	return New(Options{Reviews: c.AuthenticationV1().TokenReviews(), Audience: audience})
}

func good() authv1.TokenReviewStatus {
	return authv1.TokenReviewStatus{Authenticated: true, Audiences: []string{audience}, User: authv1.UserInfo{
		Username: "system:serviceaccount:shop:cart.v1",
		Extra: map[string]authv1.ExtraValue{
			"authentication.kubernetes.io/pod-name": {"cart-0"}, "authentication.kubernetes.io/pod-uid": {"uid-0"}},
	}}
}

func TestAuthenticate(t *testing.T) {
	tests := []struct {
		name string
		edit func(*server)
		code codes.Code
		text string
	}{
		{"good", func(*server) {}, codes.OK, ""},
		{"refused", func(s *server) {
			s.answer = authv1.TokenReviewStatus{Error: "token has expired"}
		}, codes.Unauthenticated, "token has expired"},
		{"other audience", func(s *server) { s.answer.Audiences = []string{"https://kubernetes.default.svc"} }, codes.Unauthenticated, "not meant for audience"},
		{"server ignores audiences", func(s *server) { s.answer.Audiences = nil }, codes.Unauthenticated, "not meant for audience"},
		{"a user", func(s *server) { s.answer.User.Username = "jane" }, codes.Unauthenticated, "not a service account"},
		{"no account", func(s *server) { s.answer.User.Username = "system:serviceaccount:shop:" }, codes.Unauthenticated, "not a service account"},
		{"not bound to a pod", func(s *server) { s.answer.User.Extra = nil }, codes.Unauthenticated, "not bound to a pod"},
		{"no uid", func(s *server) { delete(s.answer.User.Extra, extraPodUID) }, codes.Unauthenticated, "not bound to a pod"},
		{"two names", func(s *server) { s.answer.User.Extra[extraPodName] = []string{"a", "b"} }, codes.Unauthenticated, "not bound to a pod"},
		{"API server away", func(s *server) { s.err = errors.New("connection refused") }, codes.Unavailable, "connection refused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &server{answer: good()}
			tt.edit(s)
			p, err := s.authenticator().Authenticate(t.Context(), "secret-token")
			require.Equal(t, authv1.TokenReviewSpec{Token: "secret-token", Audiences: []string{audience}}, s.spec)
			require.Equal(t, tt.code, status.Code(err))
			if tt.code != codes.OK {
				require.ErrorContains(t, err, tt.text)
				require.NotContains(t, err.Error(), "secret-token")
				require.Equal(t, xds.Peer{}, p)
				return
			}
			require.Equal(t, xds.Peer{
				Pod:      meshid.Pod{Namespace: "shop", Name: "cart-0", UID: "uid-0"},
				Identity: meshid.Identity{Namespace: "shop", ServiceAccount: "cart.v1"},
			}, p)
		})
	}
}

func TestOddTokensAreNotSent(t *testing.T) {
	s := &server{answer: good()}
	a := s.authenticator()
	for _, token := range []string{"", strings.Repeat("x", maxToken+1)} {
		_, err := a.Authenticate(t.Context(), token)
		require.Equal(t, codes.Unauthenticated, status.Code(err))
	}
	require.Zero(t, s.asked)
}

func TestCache(t *testing.T) {
	s := &server{answer: good()}
	a := s.authenticator()
	now := time.Unix(1000, 0)
	a.now = func() time.Time { return now }
	ask := func(token string) error { _, err := a.Authenticate(t.Context(), token); return err }

	require.NoError(t, ask("t"))
	now = now.Add(cacheFor - time.Millisecond)
	require.NoError(t, ask("t"))
	require.Equal(t, 1, s.asked)
	now = now.Add(time.Millisecond)
	require.NoError(t, ask("t"))
	require.Equal(t, 2, s.asked, "an answer is remembered for ten seconds")

	s.answer = authv1.TokenReviewStatus{}
	require.Error(t, ask("bad"))
	require.Error(t, ask("bad"))
	require.Equal(t, 4, s.asked, "refusals are not remembered")

	s.answer = good()
	for i := range 2 * cacheEntries {
		require.NoError(t, ask(fmt.Sprint(i)))
	}
	require.LessOrEqual(t, len(a.cache), cacheEntries)
	now = now.Add(cacheFor)
	require.NoError(t, ask("the next"))
	require.Len(t, a.cache, 1, "what is old is not kept")
}

func TestOneQuestionForOneToken(t *testing.T) {
	s := &server{answer: good(), release: make(chan struct{})}
	a := s.authenticator()
	leaver, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := a.Authenticate(leaver, "t")
		left <- err
	}()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			_, err := a.Authenticate(t.Context(), "t")
			assert.NoError(t, err)
		})
	}
	leave()
	require.Equal(t, codes.Canceled, status.Code(<-left))
	close(s.release)
	wg.Wait()
	require.LessOrEqual(t, s.asked, 2, "whoever comes after the first answer finds it remembered")
}
