package scheme_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	configv1alpha1 "openservicemesh.io/osm/api/config/v1alpha1"
	configv1alpha2 "openservicemesh.io/osm/api/config/v1alpha2"
	multiclusterv1alpha1 "openservicemesh.io/osm/api/multicluster/v1alpha1"
	policyv1alpha1 "openservicemesh.io/osm/api/policy/v1alpha1"
	"openservicemesh.io/osm/api/scheme"
	accessv1alpha3 "openservicemesh.io/osm/api/smi/access/v1alpha3"
	specsv1alpha4 "openservicemesh.io/osm/api/smi/specs/v1alpha4"
	splitv1alpha2 "openservicemesh.io/osm/api/smi/split/v1alpha2"
)

// TestServedIsWhatThePackagesName holds the table against the resources that
// the packages of the kinds name.
func TestServedIsWhatThePackagesName(t *testing.T) {
	var got []schema.GroupVersionResource
	for _, k := range scheme.Served() {
		got = append(got, k.GroupVersionResource())
	}
	require.Equal(t, []schema.GroupVersionResource{
		accessv1alpha3.TrafficTargets,
		configv1alpha2.ExtensionServices,
		configv1alpha2.MeshConfigs,
		configv1alpha1.MeshConfigs,
		configv1alpha2.MeshRootCertificates,
		multiclusterv1alpha1.ServiceExports,
		multiclusterv1alpha1.ServiceImports,
		policyv1alpha1.Egresses,
		policyv1alpha1.IngressBackends,
		policyv1alpha1.Retries,
		policyv1alpha1.Telemetries,
		policyv1alpha1.UpstreamTrafficSettings,
		specsv1alpha4.HTTPRouteGroups,
		specsv1alpha4.TCPRoutes,
		{Group: splitv1alpha2.GroupName, Version: "v1alpha4", Resource: "trafficsplits"},
		{Group: splitv1alpha2.GroupName, Version: "v1alpha3", Resource: "trafficsplits"},
		splitv1alpha2.TrafficSplits,
	}, got)
}

// TestTheSchemeKnowsWhatIsServedAndNothingElse: a version without a Go type
// must not be listed as served, nor the other way round.
func TestTheSchemeKnowsWhatIsServedAndNothingElse(t *testing.T) {
	s, _, err := scheme.New()
	require.NoError(t, err)
	for _, k := range scheme.Kinds() {
		require.Equal(t, k.Served, s.Recognizes(k.GroupVersionKind()), k)
		if !k.Served {
			continue
		}
		object, err := s.New(k.GroupVersionKind())
		require.NoError(t, err)
		require.Implements(t, (*runtime.Object)(nil), object)
	}
}

func TestKindsReturnsAListOfItsOwn(t *testing.T) {
	scheme.Kinds()[0].Plural = "changed"
	require.Equal(t, "traffictargets", scheme.Kinds()[0].Plural)
}

func TestOneStoredVersionPerKind(t *testing.T) {
	stored := map[string]int{}
	for _, k := range scheme.Kinds() {
		if k.Storage {
			require.True(t, k.Served, k)
			stored[k.CRDName()]++
		} else {
			stored[k.CRDName()] += 0
		}
	}
	for name, n := range stored {
		require.Equal(t, 1, n, name)
	}
	require.Len(t, stored, 14)
}
