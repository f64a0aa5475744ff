package controller

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/testkit/satoken"
)

// reviewed counts the token reviews that the API server was asked for.
func (w *world) reviewed() int {
	n := 0
	for _, a := range w.kube.Actions() {
		if a.GetResource().Resource == "tokenreviews" {
			n++
		}
	}
	return n
}

// Proxies come and come back without a call to the API server, until their pod is gone: then their token is worth nothing.
func TestTokensAreVerifiedByPublishedKeys(t *testing.T) {
	w := newWorld(t)
	issuer, err := satoken.New("https://kubernetes.default.svc")
	require.NoError(t, err)
	w.program.kube.Raw = issuer.Read
	cart := meshid.Identity{Namespace: "shop", ServiceAccount: "cart"}
	_, err = w.kube.CoreV1().ServiceAccounts("shop").Create(t.Context(),
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart", UID: "account"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	w.start()
	w.eventually("the account is known", func() bool { _, ok := w.program.accounts.UID(cart); return ok })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	pod := meshid.Pod{Namespace: "shop", Name: "cart-0", UID: "uid-0"}
	sign := func(audience string) string {
		token, err := issuer.Sign(issuer.ClaimsOf(pod, "cart", "account", audience, time.Now()))
		require.NoError(t, err)
		return token
	}
	token := sign("osm-ads.osm.osm-system")
	for range 2 {
		client, _ := w.connect(token)
		require.NoError(t, client.Wait(ctx, has(envoy.Listener, "outbound-listener")))
		require.NoError(t, client.Wait(ctx, has(envoy.Secret, "service-cert:shop/cart")))
	}
	require.Zero(t, w.reviewed())
	_, metrics := w.get(w.program.at.http, "/metrics")
	require.Contains(t, metrics, `osm_control_plane_tokens_total{by="keys"} 2`)
	require.Contains(t, metrics, `osm_control_plane_tokens_total{by="review"} 0`)

	_, refused := w.connect(sign("another-audience"))
	require.Equal(t, codes.Unauthenticated, status.Code(<-refused))
	require.Zero(t, w.reviewed())

	require.NoError(t, w.kube.CoreV1().Pods("shop").Delete(t.Context(), "cart-0", metav1.DeleteOptions{}))
	w.eventually("the pod is not known any more", func() bool { _, known := w.program.identityOf(pod); return !known })
	_, refused = w.connect(token)
	err = <-refused
	require.Equal(t, codes.Unauthenticated, status.Code(err))
	require.Equal(t, "unauthenticated", status.Convert(err).Message())
	require.Equal(t, 1, w.reviewed())
}
