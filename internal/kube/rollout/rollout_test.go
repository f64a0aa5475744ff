package rollout

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/scheme"
	k8stesting "k8s.io/client-go/testing"
)

func TestStays(t *testing.T) {
	deployment := func(labels map[string]string) *appsv1.Deployment {
		return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "osm-system", Name: "osm-injector", Labels: labels}}
	}
	for name, tc := range map[string]struct {
		objects []runtime.Object
		want    bool
	}{
		"this version":         {[]runtime.Object{deployment(map[string]string{"app.kubernetes.io/version": "v1.3.0_x"})}, true},
		"a newer one":          {[]runtime.Object{deployment(map[string]string{"app.kubernetes.io/version": "v1.4.0"})}, false},
		"an older one":         {[]runtime.Object{deployment(map[string]string{"app.kubernetes.io/version": "v1.2.4"})}, false},
		"none told":            {[]runtime.Object{deployment(nil)}, true},
		"no Deployment at all": {nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := Replica{Dynamic: dynamicfake.NewSimpleDynamicClient(scheme.Scheme, tc.objects...), Namespace: "osm-system", Deployment: "osm-injector", Version: "v1.3.0+x"}
			got, err := r.Stays(t.Context())
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
		})
	}
	broken := dynamicfake.NewSimpleDynamicClient(scheme.Scheme)
	broken.PrependReactor("get", "deployments", func(k8stesting.Action) (bool, runtime.Object, error) { return true, nil, errors.New("forbidden") })
	stays, err := Replica{Dynamic: broken, Namespace: "osm-system", Deployment: "osm-injector"}.Stays(t.Context())
	require.False(t, stays)
	require.ErrorContains(t, err, "Deployment osm-system/osm-injector, which says what version is to run: forbidden")
}
