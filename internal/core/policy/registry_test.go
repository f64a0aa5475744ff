package policy

import (
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"openservicemesh.io/osm/api/scheme"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// TestEveryKindIsServed holds the table against the kinds that CRDs declare: no kind is left out, none is read in a
// version that the API server does not serve, and each makes objects of its own kind.
func TestEveryKindIsServed(t *testing.T) {
	s := runtime.NewScheme()
	require.NoError(t, scheme.AddToScheme(s))
	seen := map[string]bool{"MeshConfig": true} // it configures the mesh and is no policy
	for _, k := range Kinds() {
		require.False(t, seen[k.Name], k.Name)
		seen[k.Name] = true
		kinds, _, err := s.ObjectKinds(k.New())
		require.NoError(t, err)
		require.Equal(t, k.Resource.GroupVersion().WithKind(k.Name), kinds[0])
		served := false
		for _, declared := range scheme.Kinds() {
			if declared.Kind == k.Name && declared.Group == k.Resource.Group && declared.Version == k.Resource.Version {
				served = declared.Served
				require.Equal(t, k.Resource.Resource, declared.Plural)
			}
		}
		require.True(t, served, k.Name)
	}
	for _, declared := range scheme.Kinds() {
		require.True(t, seen[declared.Kind], "%s is declared but not in the table", declared.Kind)
	}
}

func TestNotSupported(t *testing.T) {
	policies := map[string][]snapshot.Object{}
	acting := 0
	for _, k := range Kinds() {
		o := k.New()
		o.SetNamespace("ns")
		o.SetName("x")
		o.SetCreationTimestamp(metav1.Time{})
		policies[k.Name] = []snapshot.Object{o}
		if k.Acts {
			acting++
		}
	}
	findings := NotSupported(snapshot.NewPolicies(policies))
	require.Len(t, findings, len(Kinds())-acting)
	for _, f := range findings {
		require.Equal(t, "NotSupported", f.Reason)
		require.Equal(t, "ns", f.Object.Namespace)
		require.Contains(t, f.Message, f.Object.Kind)
	}
}
