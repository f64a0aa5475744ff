package scheme

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"

	configv1alpha1 "openservicemesh.io/osm/api/config/v1alpha1"
	configv1alpha2 "openservicemesh.io/osm/api/config/v1alpha2"
	multiclusterv1alpha1 "openservicemesh.io/osm/api/multicluster/v1alpha1"
	policyv1alpha1 "openservicemesh.io/osm/api/policy/v1alpha1"
	accessv1alpha3 "openservicemesh.io/osm/api/smi/access/v1alpha3"
	specsv1alpha4 "openservicemesh.io/osm/api/smi/specs/v1alpha4"
	splitv1alpha2 "openservicemesh.io/osm/api/smi/split/v1alpha2"
)

var builder = runtime.NewSchemeBuilder(
	configv1alpha1.AddToScheme,
	configv1alpha2.AddToScheme,
	policyv1alpha1.AddToScheme,
	accessv1alpha3.AddToScheme,
	specsv1alpha4.AddToScheme,
	splitv1alpha2.AddToScheme,
	multiclusterv1alpha1.AddToScheme,
)

// AddToScheme adds every served version of every kind to a scheme.
func AddToScheme(s *runtime.Scheme) error {
	return builder.AddToScheme(s)
}

// New returns a scheme with every served version of every kind and no other,
// and the codecs that go with it.
func New() (*runtime.Scheme, serializer.CodecFactory, error) {
	s := runtime.NewScheme()
	if err := AddToScheme(s); err != nil {
		return nil, serializer.CodecFactory{}, err
	}
	return s, serializer.NewCodecFactory(s), nil
}
