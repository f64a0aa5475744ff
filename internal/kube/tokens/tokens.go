package tokens

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	authv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/xds"
)

// Limits. A proxy that loses its stream comes back within seconds, so a short memory spares the API server the
// second review; a token of a deleted pod is good for no longer than that either.
const (
	cacheFor     = 10 * time.Second
	cacheEntries = 4096
	askTimeout   = 4 * time.Second
	// maxToken is far above what an API server issues (about 1.3 kB).
	maxToken = 16 << 10
)

// userPrefix precedes "<namespace>:<name>" in the user name of a service account.
const userPrefix = "system:serviceaccount:"

// Keys of a bound token's extra information, as the API server fills them.
const (
	extraPodName = "authentication.kubernetes.io/pod-name"
	extraPodUID  = "authentication.kubernetes.io/pod-uid"
)

// Reviews asks the API server about a token. The generated client implements it.
type Reviews interface {
	Create(ctx context.Context, r *authv1.TokenReview, opts metav1.CreateOptions) (*authv1.TokenReview, error)
}

// Options are what an Authenticator judges by. Reviews and Audience are needed.
type Options struct {
	Reviews Reviews
	// Audience (names.TokenAudience) is the only one that tokens are taken for.
	Audience string
	// Keys reads what the API server publishes; nil leaves every token to the API server.
	Keys Read
	// Pod returns the identity of a pod that exists, as it is known here; false when it is not.
	Pod func(meshid.Pod) (meshid.Identity, bool)
	// Account returns the UID of a service account that exists, as it is known here; false when it is not.
	Account func(meshid.Identity) (uid string, ok bool)
	// Judged, if not nil, is told who judged a token: ByKeys or ByReview.
	Judged func(by string)
	// Log may be nil.
	Log *slog.Logger
}

// Who judges tokens. An answer of the API server that is still remembered counts for neither.
const (
	ByKeys   = "keys"
	ByReview = "review"
)

// Authenticator judges tokens. Make it with New.
type Authenticator struct {
	opts    Options
	keys    keys
	now     func() time.Time
	flights singleflight.Group

	mu    sync.Mutex
	cache map[[sha256.Size]byte]entry
	// swept is when cache was last looked through for what is old.
	swept time.Time
}

type entry struct {
	peer  xds.Peer
	until time.Time
}

// New returns an authenticator.
func New(opts Options) *Authenticator {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Judged == nil {
		opts.Judged = func(string) {}
	}
	if opts.Pod == nil || opts.Account == nil {
		opts.Keys = nil // a token says nothing of what became of its pod since
	}
	a := &Authenticator{opts: opts, now: time.Now, cache: map[[sha256.Size]byte]entry{}}
	a.keys = keys{read: opts.Keys, log: opts.Log, now: func() time.Time { return a.now() }}
	return a
}

// Authenticate returns the pod the token is bound to.
func (a *Authenticator) Authenticate(ctx context.Context, token string) (xds.Peer, error) {
	if token == "" || len(token) > maxToken {
		return xds.Peer{}, refuse("no token, or one longer than %d bytes", maxToken)
	}
	if p, err := a.verify(ctx, token); !errors.Is(err, errUnsure) {
		a.opts.Judged(ByKeys)
		return p, err
	}
	return a.asked(ctx, token)
}

// asked returns what the API server says, or said a moment ago.
func (a *Authenticator) asked(ctx context.Context, token string) (xds.Peer, error) {
	key := sha256.Sum256([]byte(token))
	if p, ok := a.cached(key); ok {
		return p, nil
	}
	// Streams that bring the same token at once share one question. It must not end because the first of them leaves.
	result := a.flights.DoChan(string(key[:]), func() (any, error) {
		ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
		defer cancel()
		p, err := a.review(ask, token)
		if err == nil {
			a.remember(key, p)
		}
		return p, err
	})
	select {
	case <-ctx.Done():
		return xds.Peer{}, status.FromContextError(ctx.Err()).Err()
	case r := <-result:
		p, _ := r.Val.(xds.Peer)
		return p, r.Err
	}
}

func (a *Authenticator) review(ctx context.Context, token string) (xds.Peer, error) {
	a.opts.Judged(ByReview)
	got, err := a.opts.Reviews.Create(ctx, &authv1.TokenReview{
		Spec: authv1.TokenReviewSpec{Token: token, Audiences: []string{a.opts.Audience}},
	}, metav1.CreateOptions{})
	if err != nil {
		return xds.Peer{}, status.Errorf(codes.Unavailable, "the token could not be reviewed: %v", err)
	}
	s := got.Status
	switch {
	case !s.Authenticated:
		return xds.Peer{}, refuse("the API server does not accept the token: %s", s.Error)
	case !slices.Contains(s.Audiences, a.opts.Audience):
		// An API server that does not look at audiences answers without any.
		return xds.Peer{}, refuse("the token is not meant for audience %q", a.opts.Audience)
	}
	return peerOf(s.User)
}

// peerOf reads "system:serviceaccount:<namespace>:<name>" and the pod the token is bound to.
func peerOf(u authv1.UserInfo) (xds.Peer, error) {
	rest, ok := strings.CutPrefix(u.Username, userPrefix)
	ns, account, found := strings.Cut(rest, ":")
	if !ok || !found || ns == "" || account == "" {
		return xds.Peer{}, refuse("%q is not a service account", u.Username)
	}
	name, uid := single(u.Extra[extraPodName]), single(u.Extra[extraPodUID])
	if name == "" || uid == "" {
		return xds.Peer{}, refuse("the token of service account %s/%s is not bound to a pod", ns, account)
	}
	return xds.Peer{
		Pod:      meshid.Pod{Namespace: ns, Name: name, UID: uid},
		Identity: meshid.Identity{Namespace: ns, ServiceAccount: account},
	}, nil
}

func single(v authv1.ExtraValue) string {
	if len(v) != 1 {
		return ""
	}
	return v[0]
}

func refuse(format string, args ...any) error {
	return status.Errorf(codes.Unauthenticated, format, args...)
}

func (a *Authenticator) cached(key [sha256.Size]byte) (xds.Peer, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e, ok := a.cache[key]
	if !ok || !a.now().Before(e.until) {
		return xds.Peer{}, false
	}
	return e.peer, true
}

// remember stores an answer. What is old is lost when the cache is full, or has not been looked through for as long as answers
// count; a cache that is still full loses everything, which costs reviews only.
func (a *Authenticator) remember(key [sha256.Size]byte, p xds.Peer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if len(a.cache) >= cacheEntries || now.Sub(a.swept) >= cacheFor {
		a.swept = now
		for k, e := range a.cache {
			if !now.Before(e.until) {
				delete(a.cache, k)
			}
		}
	}
	if len(a.cache) >= cacheEntries {
		clear(a.cache)
	}
	a.cache[key] = entry{peer: p, until: now.Add(cacheFor)}
}
