package kubeapi

import (
	"context"
	"fmt"

	admissionregv1 "k8s.io/api/admissionregistration/v1"
	authv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/gentype"
	"k8s.io/client-go/rest"
)

// Client is what is used of one kind's client. The generated clients have these methods too.
type Client[T, L runtime.Object] interface {
	Creator[T]
	Update(ctx context.Context, obj T, opts metav1.UpdateOptions) (T, error)
	Delete(ctx context.Context, name string, opts metav1.DeleteOptions) error
	Get(ctx context.Context, name string, opts metav1.GetOptions) (T, error)
	List(ctx context.Context, opts metav1.ListOptions) (L, error)
	Watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error)
}

// Creator can only create, as is the case with reviews.
type Creator[T runtime.Object] interface {
	Create(ctx context.Context, obj T, opts metav1.CreateOptions) (T, error)
}

// Clients are the clients of one API server. Functions take a namespace; "" means all of them.
type Clients struct {
	Namespaces         Client[*corev1.Namespace, *corev1.NamespaceList]
	Services           func(namespace string) Client[*corev1.Service, *corev1.ServiceList]
	Pods               func(namespace string) Client[*corev1.Pod, *corev1.PodList]
	EndpointSlices     func(namespace string) Client[*discoveryv1.EndpointSlice, *discoveryv1.EndpointSliceList]
	Secrets            func(namespace string) Client[*corev1.Secret, *corev1.SecretList]
	Events             func(namespace string) Client[*corev1.Event, *corev1.EventList]
	Leases             func(namespace string) Client[*coordinationv1.Lease, *coordinationv1.LeaseList]
	ValidatingWebhooks Client[*admissionregv1.ValidatingWebhookConfiguration, *admissionregv1.ValidatingWebhookConfigurationList]
	ServiceAccounts    func(namespace string) Client[*corev1.ServiceAccount, *corev1.ServiceAccountList]
	TokenReviews       Creator[*authv1.TokenReview]
	// Resources lists what the API server serves of one group and version.
	Resources func(ctx context.Context, gv schema.GroupVersion) (*metav1.APIResourceList, error)
	// Raw reads what a path of the API server answers, as it is.
	Raw func(ctx context.Context, path string) ([]byte, error)
}

// New makes clients that speak protobuf.
func New(rc *rest.Config) (*Clients, error) {
	f, err := newFactory(rc)
	if err != nil {
		return nil, err
	}
	core, discovery := f.client(corev1.SchemeGroupVersion), f.client(discoveryv1.SchemeGroupVersion)
	admission, auth := f.client(admissionregv1.SchemeGroupVersion), f.client(authv1.SchemeGroupVersion)
	coordination := f.client(coordinationv1.SchemeGroupVersion)
	if f.err != nil {
		return nil, f.err
	}
	return &Clients{
		Namespaces:         typed[corev1.Namespace, corev1.NamespaceList](f, core, "namespaces")(""),
		Services:           typed[corev1.Service, corev1.ServiceList](f, core, "services"),
		Pods:               typed[corev1.Pod, corev1.PodList](f, core, "pods"),
		Secrets:            typed[corev1.Secret, corev1.SecretList](f, core, "secrets"),
		Events:             typed[corev1.Event, corev1.EventList](f, core, "events"),
		EndpointSlices:     typed[discoveryv1.EndpointSlice, discoveryv1.EndpointSliceList](f, discovery, "endpointslices"),
		Leases:             typed[coordinationv1.Lease, coordinationv1.LeaseList](f, coordination, "leases"),
		ValidatingWebhooks: typed[admissionregv1.ValidatingWebhookConfiguration, admissionregv1.ValidatingWebhookConfigurationList](f, admission, "validatingwebhookconfigurations")(""),
		ServiceAccounts:    typed[corev1.ServiceAccount, corev1.ServiceAccountList](f, core, "serviceaccounts"),
		TokenReviews: gentype.NewClient[*authv1.TokenReview]("tokenreviews", auth, f.params, "",
			func() *authv1.TokenReview { return &authv1.TokenReview{} }),
		Resources: func(ctx context.Context, gv schema.GroupVersion) (*metav1.APIResourceList, error) {
			list := &metav1.APIResourceList{}
			err := core.Get().AbsPath("/apis/" + gv.String()).Do(ctx).Into(list)
			return list, err
		},
		Raw: func(ctx context.Context, path string) ([]byte, error) {
			return core.Get().AbsPath(path).SetHeader("Accept", "*/*").DoRaw(ctx)
		},
	}, nil
}

// factory makes one REST client for each group, over one set of connections.
type factory struct {
	rc     *rest.Config
	codecs serializer.CodecFactory
	params runtime.ParameterCodec
	err    error
}

func newFactory(rc *rest.Config) (*factory, error) {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, discoveryv1.AddToScheme, coordinationv1.AddToScheme, authv1.AddToScheme, admissionregv1.AddToScheme,
	} {
		if err := add(s); err != nil {
			return nil, err
		}
	}
	return &factory{rc: rc, codecs: serializer.NewCodecFactory(s), params: runtime.NewParameterCodec(s)}, nil
}

// client remembers the first error.
func (f *factory) client(gv schema.GroupVersion) rest.Interface {
	rc := rest.CopyConfig(f.rc)
	rc.GroupVersion, rc.APIPath = &gv, "/apis"
	if gv.Group == "" {
		rc.APIPath = "/api"
	}
	rc.ContentType = runtime.ContentTypeProtobuf
	rc.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	rc.NegotiatedSerializer = f.codecs.WithoutConversion()
	c, err := rest.RESTClientFor(rc)
	if err != nil && f.err == nil {
		f.err = fmt.Errorf("client of %s: %w", gv, err)
	}
	return c
}

// object is *T for a Kubernetes type T.
type object[T any] interface {
	*T
	runtime.Object
	metav1.Object
}

// list is *L for a list type L.
type list[L any] interface {
	*L
	runtime.Object
	metav1.ListInterface
}

func typed[T, L any, PT object[T], PL list[L]](f *factory, c rest.Interface, resource string) func(string) Client[PT, PL] {
	return func(namespace string) Client[PT, PL] {
		return gentype.NewClientWithList(resource, c, f.params, namespace,
			func() PT { return new(T) }, func() PL { return new(L) })
	}
}
