package tokens

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"

	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/kube/kubeapi/clientset"
	"openservicemesh.io/osm/internal/testkit/satoken"
	"openservicemesh.io/osm/internal/xds"
)

var (
	cart0  = meshid.Pod{Namespace: "shop", Name: "cart-0", UID: "uid-0"}
	cartID = meshid.Identity{Namespace: "shop", ServiceAccount: "cart.v1"}
)

// cluster is what is known of a cluster with one pod, whose API server refuses whatever it is asked.
type cluster struct {
	t      testing.TB
	issuer *satoken.Issuer
	server *server
	auth   *Authenticator
	now    time.Time

	mu       sync.Mutex
	pods     map[meshid.Pod]meshid.Identity
	accounts map[meshid.Identity]string
	by       []string
}

func newCluster(t testing.TB) *cluster {
	issuer, err := satoken.New("https://kubernetes.default.svc")
	require.NoError(t, err)
	c := &cluster{
		t: t, issuer: issuer, now: time.Now(), server: &server{answer: authv1.TokenReviewStatus{Error: "the API server says no"}},
		pods: map[meshid.Pod]meshid.Identity{cart0: cartID}, accounts: map[meshid.Identity]string{cartID: "account-uid"},
	}
	c.auth = c.server.authenticator()
	c.auth = New(Options{
		Reviews: c.auth.opts.Reviews, Audience: audience, Keys: issuer.Read,
		Pod: func(p meshid.Pod) (meshid.Identity, bool) {
			c.mu.Lock()
			defer c.mu.Unlock()
			id, ok := c.pods[p]
			return id, ok
		},
		Account: func(id meshid.Identity) (string, bool) { uid, ok := c.accounts[id]; return uid, ok },
		Judged:  func(by string) { c.mu.Lock(); defer c.mu.Unlock(); c.by = append(c.by, by) },
	})
	c.auth.now = func() time.Time { return c.now }
	return c
}

func (c *cluster) claims() satoken.Claims {
	return c.issuer.ClaimsOf(cart0, "cart.v1", "account-uid", audience, c.now)
}

func (c *cluster) sign(claims any) string {
	c.t.Helper()
	token, err := c.issuer.Sign(claims)
	require.NoError(c.t, err)
	return token
}

// ask returns how often the API server had to judge, and the error.
func (c *cluster) ask(token string) (int, error) {
	c.t.Helper()
	before := c.server.asked
	peer, err := c.auth.Authenticate(c.t.Context(), token)
	if err == nil {
		require.Equal(c.t, xds.Peer{Pod: cart0, Identity: cartID}, peer)
	} else {
		require.Zero(c.t, peer)
		require.NotContains(c.t, err.Error(), token)
	}
	return c.server.asked - before, err
}

func (c *cluster) accepts(token string) {
	c.t.Helper()
	asked, err := c.ask(token)
	require.NoError(c.t, err)
	require.Zero(c.t, asked, "no call to the API server")
}

// refuses says whether the API server was asked before.
func (c *cluster) refuses(token string, asked int, text string) {
	c.t.Helper()
	n, err := c.ask(token)
	require.Equal(c.t, codes.Unauthenticated, status.Code(err), "%v", err)
	require.ErrorContains(c.t, err, text)
	require.Equal(c.t, asked, n, "reviews: %v", err)
}

func TestVerifiedWithoutACall(t *testing.T) {
	c := newCluster(t)
	token := c.sign(c.claims())
	for range 20 {
		c.accepts(token)
	}
	require.Equal(t, 1, c.issuer.Reads(), "the keys are read once")
	require.Len(t, c.by, 20)
	require.Equal(t, ByKeys, c.by[0])
}

func TestEveryAlgorithmOfAnAPIServer(t *testing.T) {
	c := newCluster(t)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	require.NoError(t, err)
	for _, issuer := range []*satoken.Issuer{satoken.NewOf(c.issuer.Name, rsaKey), satoken.NewOf(c.issuer.Name, p384), satoken.NewOf(c.issuer.Name, p521)} {
		c.issuer = issuer
		c.auth.keys.read, c.auth.keys.readAt, c.auth.keys.triedAt = issuer.Read, time.Time{}, time.Time{}
		c.accepts(c.sign(c.claims()))
	}
}

// What a token says is judged as the API server would; what is not certain it is asked.
func TestWhatATokenSays(t *testing.T) {
	tests := []struct {
		name  string
		edit  func(*satoken.Claims)
		asked int
		text  string
	}{
		{"another audience", func(c *satoken.Claims) { c.Audience = jwt.Audience{"https://kubernetes.default.svc"} }, 0, "not meant for audience"},
		{"no audience", func(c *satoken.Claims) { c.Audience = nil }, 0, "not meant for audience"},
		{"without an end", func(c *satoken.Claims) { c.Expiry = nil }, 0, "never expires"},
		{"expired", func(c *satoken.Claims) { c.Expiry = jwt.NewNumericDate(time.Now().Add(-2 * time.Minute)) }, 1, "API server says no"},
		{"not yet", func(c *satoken.Claims) { c.NotBefore = jwt.NewNumericDate(time.Now().Add(2 * time.Minute)) }, 1, "API server says no"},
		{"made in the future", func(c *satoken.Claims) { c.IssuedAt = jwt.NewNumericDate(time.Now().Add(2 * time.Minute)) }, 1, "API server says no"},
		{"another issuer", func(c *satoken.Claims) { c.Issuer = "https://other.example.com" }, 1, "API server says no"},
		{"no issuer", func(c *satoken.Claims) { c.Issuer = "" }, 1, "API server says no"},
		{"a user", func(c *satoken.Claims) { c.Subject = "jane" }, 0, "not a service account"},
		{"another account as subject", func(c *satoken.Claims) { c.Subject = "system:serviceaccount:shop:admin" }, 0, "not a service account"},
		{"another namespace as subject", func(c *satoken.Claims) { c.Subject = "system:serviceaccount:bank:cart.v1" }, 0, "not a service account"},
		{"no account", func(c *satoken.Claims) { c.Kubernetes.ServiceAccount.Name = "" }, 0, "not a service account"},
		{"not bound to a pod", func(c *satoken.Claims) { c.Kubernetes.Pod = nil }, 0, "not bound to a pod"},
		{"no uid", func(c *satoken.Claims) { c.Kubernetes.Pod.UID = "" }, 0, "not bound to a pod"},
		{"a pod that is not known", func(c *satoken.Claims) { c.Kubernetes.Pod.Name = "cart-1" }, 1, "API server says no"},
		{"an earlier pod of the name", func(c *satoken.Claims) { c.Kubernetes.Pod.UID = "uid-before" }, 1, "API server says no"},
		{"the pod of another account", func(c *satoken.Claims) {
			c.Kubernetes.ServiceAccount.Name, c.Subject = "admin", "system:serviceaccount:shop:admin"
		}, 1, "API server says no"},
		{"an earlier account of the name", func(c *satoken.Claims) { c.Kubernetes.ServiceAccount.UID = "uid-before" }, 1, "API server says no"},
		{"no account uid", func(c *satoken.Claims) { c.Kubernetes.ServiceAccount.UID = "" }, 1, "API server says no"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newCluster(t)
			claims := c.claims()
			tt.edit(&claims)
			c.refuses(c.sign(claims), tt.asked, tt.text)
			c.accepts(c.sign(c.claims()))
		})
	}
}

func TestClocksMayDiffer(t *testing.T) {
	c := newCluster(t)
	token := c.sign(c.claims())
	start := c.now
	for _, at := range []time.Duration{-50 * time.Second, 0, time.Hour + 50*time.Second} {
		c.now = start.Add(at)
		c.accepts(token)
	}
	// Beyond the leeway the API server's clock counts, not this machine's.
	for _, at := range []time.Duration{-2 * time.Minute, time.Hour + 2*time.Minute} {
		c.now = start.Add(at)
		c.refuses(token, 1, "API server says no")
	}
	c.server.answer = good()
	asked, err := c.ask(token)
	require.NoError(t, err)
	require.Equal(t, 1, asked)
}

func TestADeletedPodOrAccountIsReviewedAtOnce(t *testing.T) {
	c := newCluster(t)
	token := c.sign(c.claims())
	c.accepts(token)
	delete(c.pods, cart0)
	c.refuses(token, 1, "API server says no")
	c.pods[cart0] = cartID
	c.accepts(token)
	c.accounts[cartID] = "made-again"
	c.refuses(token, 1, "API server says no")
	delete(c.accounts, cartID)
	c.refuses(token, 1, "API server says no")
}

func part(t *testing.T, v any) string {
	raw, err := json.Marshal(v)
	require.NoError(t, err)
	return base64.RawURLEncoding.EncodeToString(raw)
}

// Forged signatures are refused, and cost the API server nothing.
func TestForgedTokens(t *testing.T) {
	c := newCluster(t)
	token := c.sign(c.claims())
	c.accepts(token)
	parts := strings.Split(token, ".")
	id, err := satoken.KeyID(c.issuer.Key())
	require.NoError(t, err)

	c.refuses(part(t, map[string]any{"alg": "none", "kid": id})+"."+parts[1]+".", 0, "not signed with")
	c.refuses(part(t, map[string]any{"alg": "none", "kid": id})+"."+parts[1]+"."+parts[2], 0, "not signed with")
	c.refuses(part(t, map[string]any{"alg": "RS256", "kid": id})+"."+parts[1]+"."+parts[2], 0, "not for")
	c.refuses(part(t, map[string]any{"alg": "ES512", "kid": id})+"."+parts[1]+"."+parts[2], 0, "not for")

	// The public key as a shared secret: whoever reads it could sign, if symmetric algorithms were taken.
	der, err := x509.MarshalPKIXPublicKey(c.issuer.Key().Public())
	require.NoError(t, err)
	for _, secret := range [][]byte{der, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})} {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: jose.JSONWebKey{Key: secret, KeyID: id}}, nil)
		require.NoError(t, err)
		forged, err := jwt.Signed(signer).Claims(c.claims()).Serialize()
		require.NoError(t, err)
		c.refuses(forged, 0, "not signed with")
	}

	// Another's key, under the cluster's key's name, and brought along in the header.
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	for _, embed := range []bool{false, true} {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: other, KeyID: id}},
			(&jose.SignerOptions{EmbedJWK: embed}).WithHeader("kid", id))
		require.NoError(t, err)
		forged, err := jwt.Signed(signer).Claims(c.claims()).Serialize()
		require.NoError(t, err)
		c.refuses(forged, 0, "signature")
	}

	claims := c.claims()
	claims.Kubernetes.Pod.Name = "cart-1"
	swapped := strings.Split(c.sign(claims), ".")
	c.refuses(parts[0]+"."+swapped[1]+"."+parts[2], 0, "signature")
	c.refuses(parts[0]+"."+parts[1]+"."+swapped[2], 0, "signature")
}

func TestTokensOfAnotherKindAreReviewed(t *testing.T) {
	c := newCluster(t)
	for _, token := range []string{"opaque", "a.b.c", "a.b", "....", part(t, map[string]any{"alg": "ES256"}) + ".e30.AAAA"} {
		c.refuses(token, 1, "API server says no")
	}
}

func TestKeysRotate(t *testing.T) {
	c := newCluster(t)
	old := c.sign(c.claims())
	c.accepts(old)
	require.NoError(t, c.issuer.Rotate(false))
	fresh := c.sign(c.claims())
	c.refuses(fresh, 1, "API server says no") // the keys were read a moment ago
	c.now = c.now.Add(keysPause)
	c.accepts(fresh)
	c.accepts(old)
	require.Equal(t, 2, c.issuer.Reads())

	require.NoError(t, c.issuer.Rotate(true))
	newest := c.sign(c.claims())
	c.now = c.now.Add(keysFresh)
	c.accepts(newest)
	c.refuses(fresh, 1, "API server says no") // what is no longer published is trusted no longer
	require.Equal(t, 3, c.issuer.Reads())
}

func TestUnknownKeysDoNotCostAReadingEach(t *testing.T) {
	c := newCluster(t)
	c.accepts(c.sign(c.claims()))
	other, err := satoken.New(c.issuer.Name)
	require.NoError(t, err)
	for range 50 {
		token, err := other.Sign(c.claims())
		require.NoError(t, err)
		c.refuses(token, 1, "API server says no")
	}
	require.Equal(t, 1, c.issuer.Reads())
}

func TestKeysThatCannotBeRead(t *testing.T) {
	forbidden := apierrors.NewForbidden(schema.GroupResource{}, pathKeys, errors.New("no"))
	for name, err := range map[string]error{"forbidden": forbidden, "away": errors.New("connection refused")} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			c.server.answer = good()
			c.issuer.Fail(err)
			token := c.sign(c.claims())
			asked, got := c.ask(token)
			require.NoError(t, got, "the API server judges")
			require.Equal(t, 1, asked)
			c.issuer.Fail(nil)
			c.now = c.now.Add(keysPause)
			c.accepts(token)
		})
	}
	t.Run("withdrawn", func(t *testing.T) {
		c := newCluster(t)
		token := c.sign(c.claims())
		c.accepts(token)
		c.issuer.Fail(forbidden)
		c.now = c.now.Add(keysFresh)
		c.refuses(token, 1, "API server says no")
	})
	t.Run("away for a while", func(t *testing.T) { // proxies can come back while the API server is away
		c := newCluster(t)
		claims := c.claims()
		claims.Expiry = jwt.NewNumericDate(c.now.Add(24 * time.Hour))
		token := c.sign(claims)
		c.accepts(token)
		c.issuer.Fail(errors.New("connection refused"))
		c.server.err = errors.New("connection refused")
		c.now = c.now.Add(keysStale - time.Second)
		c.accepts(token)
		c.now = c.now.Add(time.Second)
		_, err := c.ask(token)
		require.Equal(t, codes.Unavailable, status.Code(err))
	})
	t.Run("unusable", func(t *testing.T) {
		for _, answer := range []string{"", "{", `{"keys":[]}`, `{"keys":[{"kty":"oct","kid":"a","k":"c2VjcmV0"}]}`, `{"keys":[{"kty":"EC","kid":"a"}]}`} {
			c := newCluster(t)
			c.auth.keys.read = func(ctx context.Context, path string) ([]byte, error) {
				if path == pathKeys {
					return []byte(answer), nil
				}
				return c.issuer.Read(ctx, path)
			}
			c.refuses(c.sign(c.claims()), 1, "API server says no")
			require.Empty(t, c.auth.keys.byID, "%s", answer)
		}
	})
}

func TestOneReadingForAStorm(t *testing.T) {
	c := newCluster(t)
	token := c.sign(c.claims())
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			_, err := c.auth.Authenticate(t.Context(), token)
			require.NoError(t, err)
		})
	}
	wg.Wait()
	require.LessOrEqual(t, c.issuer.Reads(), 2)
}

func TestAccounts(t *testing.T) {
	kube := fake.NewSimpleClientset(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart.v1", UID: "a"}})
	a := NewAccounts()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); a.Run(ctx, clientset.Of(kube).ServiceAccounts("")) }()
	is := func(id meshid.Identity, uid string) func() bool {
		return func() bool { got, ok := a.UID(id); return got == uid && ok == (uid != "") }
	}
	other := meshid.Identity{Namespace: "shop", ServiceAccount: "other"}
	require.Eventually(t, is(cartID, "a"), 10*time.Second, time.Millisecond)
	accounts := kube.CoreV1().ServiceAccounts("shop")
	_, err := accounts.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "other", UID: "b"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	require.Eventually(t, is(other, "b"), 10*time.Second, time.Millisecond)
	require.NoError(t, accounts.Delete(ctx, "cart.v1", metav1.DeleteOptions{}))
	require.Eventually(t, is(cartID, ""), 10*time.Second, time.Millisecond)
	require.NoError(t, a.Replace([]any{&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart.v1", UID: "c"}}}, ""))
	require.True(t, is(cartID, "c")() && is(other, "")())
	cancel()
	<-done
}

// FuzzToken: whatever comes, only a token that the issuer signed for the pod is accepted, and nothing panics.
func FuzzToken(f *testing.F) {
	c := newCluster(f)
	good, err := c.issuer.Sign(c.claims())
	require.NoError(f, err)
	parts := strings.Split(good, ".")
	for _, seed := range []string{good, "", "a.b.c", parts[0] + "..", parts[0] + "." + parts[1] + ".", "{}", `{"payload":"","signatures":[]}`, good + "=", " " + good} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		peer, err := c.auth.verify(t.Context(), token)
		if err == nil && token != good && !strings.HasPrefix(token, parts[0]+"."+parts[1]+".") {
			t.Fatalf("accepted %q as %v", token, peer)
		}
		if err != nil && !errors.Is(err, errUnsure) && status.Code(err) != codes.Unauthenticated {
			t.Fatalf("code of %v", err)
		}
	})
}

// BenchmarkVerify is what a join pays instead of a call to the API server.
func BenchmarkVerify(b *testing.B) {
	c := newCluster(b)
	token := c.sign(c.claims())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.auth.verify(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}
