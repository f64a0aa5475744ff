package kubeapi

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
)

// server answers with one object and remembers what it was asked.
type server struct {
	asked  []string
	accept string
	answer runtime.Object
	code   int
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.asked = append(s.asked, r.Method+" "+r.URL.RequestURI())
	s.accept = r.Header.Get("Accept")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(s.code)
	_ = json.NewEncoder(w).Encode(s.answer)
}

func newClients(t *testing.T) (*Clients, *server) {
	s := &server{code: 200}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	c, err := New(&rest.Config{Host: h.URL})
	require.NoError(t, err)
	return c, s
}

func TestEveryClientAsksForItsOwnKind(t *testing.T) {
	c, s := newClients(t)
	ctx, none := t.Context(), metav1.ListOptions{}
	// No kind is set in the answer: the client knows what it asked for.
	s.answer = &corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}, Items: []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Name: "p"}}}}
	pods, err := c.Pods("ns").List(ctx, metav1.ListOptions{LabelSelector: "a=b"})
	require.NoError(t, err)
	require.Equal(t, "p", pods.Items[0].Name)
	require.Equal(t, "application/vnd.kubernetes.protobuf,application/json", s.accept)

	s.answer = &discoveryv1.EndpointSlice{TypeMeta: metav1.TypeMeta{APIVersion: "discovery.k8s.io/v1", Kind: "EndpointSlice"}, ObjectMeta: metav1.ObjectMeta{Name: "s"}}
	slice, err := c.EndpointSlices("ns").Get(ctx, "s", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, "s", slice.Name)

	s.answer = &authv1.TokenReview{TypeMeta: metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "TokenReview"}, Status: authv1.TokenReviewStatus{Authenticated: true}}
	review, err := c.TokenReviews.Create(ctx, &authv1.TokenReview{}, metav1.CreateOptions{})
	require.NoError(t, err)
	require.True(t, review.Status.Authenticated)

	s.answer = &metav1.APIResourceList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "APIResourceList"}, APIResources: []metav1.APIResource{{Name: "leases"}}}
	list, err := c.Resources(ctx, discoveryv1.SchemeGroupVersion)
	require.NoError(t, err)
	require.Equal(t, "leases", list.APIResources[0].Name)

	s.code, s.answer = 404, &metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: "Failure", Code: 404, Reason: metav1.StatusReasonNotFound}
	_, err = c.Namespaces.List(ctx, none)
	require.True(t, apierrors.IsNotFound(err), "%v", err)
	_, _ = c.Services("").List(ctx, none)
	_, _ = c.Secrets("ns").Get(ctx, "x", metav1.GetOptions{})
	_, _ = c.Events("ns").Create(ctx, &corev1.Event{}, metav1.CreateOptions{})
	_, _ = c.Leases("ns").Get(ctx, "x", metav1.GetOptions{})
	_, _ = c.ValidatingWebhooks.Get(ctx, "x", metav1.GetOptions{})
	require.Equal(t, []string{
		"GET /api/v1/namespaces/ns/pods?labelSelector=a%3Db",
		"GET /apis/discovery.k8s.io/v1/namespaces/ns/endpointslices/s",
		"POST /apis/authentication.k8s.io/v1/tokenreviews",
		"GET /apis/discovery.k8s.io/v1",
		"GET /api/v1/namespaces",
		"GET /api/v1/services",
		"GET /api/v1/namespaces/ns/secrets/x",
		"POST /api/v1/namespaces/ns/events",
		"GET /apis/coordination.k8s.io/v1/namespaces/ns/leases/x",
		"GET /apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/x",
	}, s.asked)
}

// The clientset came back into the controller by way of some import: 20 MB of memory for nothing.
func TestControllerDoesNotLinkTheClientset(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "openservicemesh.io/osm/cmd/osm-controller").Output()
	require.NoError(t, err)
	require.Contains(t, string(out), "k8s.io/client-go/gentype\n")
	for _, pkg := range strings.Fields(string(out)) {
		require.NotEqual(t, "k8s.io/client-go/kubernetes/scheme", pkg)
	}
}
