// Package clientset makes kubeapi.Clients of a generated clientset: a fake one in tests, or that of a program that links it
// anyway. Input: the clientset. Output: Clients. The controller must not import it.
package clientset

import (
	"context"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/watchlist"

	"openservicemesh.io/osm/internal/kube/kubeapi"
)

// Of wraps a clientset.
func Of(c kubernetes.Interface) *kubeapi.Clients {
	core := c.CoreV1()
	return &kubeapi.Clients{
		Namespaces: of(c, core.Namespaces()),
		Services: func(ns string) kubeapi.Client[*corev1.Service, *corev1.ServiceList] {
			return of(c, core.Services(ns))
		},
		Pods:    func(ns string) kubeapi.Client[*corev1.Pod, *corev1.PodList] { return of(c, core.Pods(ns)) },
		Secrets: func(ns string) kubeapi.Client[*corev1.Secret, *corev1.SecretList] { return of(c, core.Secrets(ns)) },
		Events:  func(ns string) kubeapi.Client[*corev1.Event, *corev1.EventList] { return of(c, core.Events(ns)) },
		EndpointSlices: func(ns string) kubeapi.Client[*discoveryv1.EndpointSlice, *discoveryv1.EndpointSliceList] {
			return of(c, c.DiscoveryV1().EndpointSlices(ns))
		},
		Leases: func(ns string) kubeapi.Client[*coordinationv1.Lease, *coordinationv1.LeaseList] {
			return of(c, c.CoordinationV1().Leases(ns))
		},
		ValidatingWebhooks: of(c, c.AdmissionregistrationV1().ValidatingWebhookConfigurations()),
		ServiceAccounts: func(ns string) kubeapi.Client[*corev1.ServiceAccount, *corev1.ServiceAccountList] {
			return of(c, core.ServiceAccounts(ns))
		},
		TokenReviews: c.AuthenticationV1().TokenReviews(),
		Resources: func(_ context.Context, gv schema.GroupVersion) (*metav1.APIResourceList, error) {
			return c.Discovery().ServerResourcesForGroupVersion(gv.String())
		},
		Raw: func(ctx context.Context, path string) ([]byte, error) {
			rest := c.Discovery().RESTClient()
			if rest == nil { // a fake clientset has none
				return nil, apierrors.NewNotFound(schema.GroupResource{}, path)
			}
			return rest.Get().AbsPath(path).SetHeader("Accept", "*/*").DoRaw(ctx)
		},
	}
}

// client adds what reflectors ask a client for: whether it streams lists, which only the whole clientset knows.
type client[T, L runtime.Object] struct {
	kubeapi.Client[T, L]
	owner kubernetes.Interface
}

func of[T, L runtime.Object](owner kubernetes.Interface, c kubeapi.Client[T, L]) kubeapi.Client[T, L] {
	return client[T, L]{c, owner}
}

// IsWatchListSemanticsUnSupported implements what client-go's watchlist package looks for.
func (c client[T, L]) IsWatchListSemanticsUnSupported() bool {
	return watchlist.DoesClientNotSupportWatchListSemantics(c.owner)
}
