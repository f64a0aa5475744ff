package crds

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextfake "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset/fake"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"openservicemesh.io/osm/internal/core/names"
)

func TestMayWrite(t *testing.T) {
	labels := func(mesh, version string) map[string]string {
		return map[string]string{names.LabelAppInstance: mesh, names.LabelAppVersion: version}
	}
	for name, tc := range map[string]struct {
		have  map[string]string
		owner Owner
		want  bool
	}{
		"never labelled":        {nil, Owner{Mesh: "osm", Version: "v1.3.0", Stays: always(false)}, true},
		"same version":          {labels("osm", "v1.3.0"), Owner{Mesh: "osm", Version: "v1.3.0", Stays: always(false)}, true},
		"older, on its way out": {labels("osm", "v1.4.0"), Owner{Mesh: "osm", Version: "v1.3.0", Stays: always(false)}, false},
		"older, taken back to":  {labels("osm", "v1.4.0"), Owner{Mesh: "osm", Version: "v1.3.0", Stays: always(true)}, true},
		"newer, on its way out": {labels("osm", "v1.3.0"), Owner{Mesh: "osm", Version: "v1.4.0", Stays: always(false)}, false},
		"newer":                 {labels("osm", "v1.3.0"), Owner{Mesh: "osm", Version: "v1.4.0", Stays: always(true)}, true},
		"reconciled by a version of before labels": {map[string]string{names.LabelReconcile: "v1.2.4"}, Owner{Mesh: "osm", Version: "v1.3.0", Stays: always(false)}, false},
		"nobody's any more":                        {map[string]string{names.LabelAppVersion: "v1.4.0"}, Owner{Mesh: "osm", Version: "v1.3.0", Stays: always(true)}, true},
		"another mesh, same version":               {labels("two", "v1.3.0"), Owner{Mesh: "osm", Version: "v1.3.0", Stays: always(true)}, false},
		"another mesh, newer":                      {labels("two", "v1.10.0_x"), Owner{Mesh: "osm", Version: "v1.9.0", Stays: always(true)}, false},
		"another mesh, older":                      {labels("two", "v1.9.0"), Owner{Mesh: "osm", Version: "v1.10.0", Stays: always(true)}, true},
		"another mesh, no version":                 {labels("two", "mine"), Owner{Mesh: "osm", Version: "v1.10.0", Stays: always(true)}, false},
		"no version, another mesh":                 {labels("two", "v1.9.0"), Owner{Mesh: "osm", Version: "mine", Stays: always(true)}, false},
		"mesh removed":                             {labels("osm", "v1.4.0"), Owner{Mesh: "osm", Version: "v1.3.0", Gone: true}, true},
		"mesh removed, another's":                  {labels("two", "v1.4.0"), Owner{Mesh: "osm", Version: "v1.3.0", Gone: true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tc.owner.mayWrite(t.Context(), &apiextv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Labels: tc.have}})
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
		})
	}
}

// An upgrade from v1 to v2 and back: at no time does the version that leaves write what the other wrote.
func TestTwoVersions(t *testing.T) {
	client := apiextfake.NewClientset()
	stays := "v1"
	version := func(v string, shortNames ...string) *Set {
		s := newSet(t, client, v)
		s.owner.Stays = func(context.Context) (bool, error) { return stays == v, nil }
		s.find(one).Spec.Names.ShortNames = shortNames
		return s
	}
	is := func(v string, shortNames ...string) {
		t.Helper()
		d := get(t, client, one)
		require.Equal(t, shortNames, d.Spec.Names.ShortNames)
		require.Equal(t, v, d.Labels[names.LabelAppVersion])
	}
	v1, v2 := version("v1", "ts"), version("v2", "ts", "split")
	require.NoError(t, v1.Apply(t.Context()))
	is("v1", "ts")

	stays = "v2"
	require.NoError(t, v2.Apply(t.Context()))
	is("v2", "ts", "split")
	n := writes(client)
	require.NoError(t, v1.Apply(t.Context()), "a pod of v1 starts once more")
	require.NoError(t, v1.takeOver(t.Context()))
	_, _, err := v1.restore(t.Context(), one)
	require.NoError(t, err)
	require.Equal(t, n, writes(client))
	is("v2", "ts", "split")

	stays = "v1" // rolled back: the pod of v1 has never been away
	require.NoError(t, v2.takeOver(t.Context()))
	is("v2", "ts", "split")
	require.NoError(t, v1.takeOver(t.Context()))
	is("v1", "ts")
	n = writes(client)
	require.NoError(t, v2.Apply(t.Context()))
	require.NoError(t, v1.takeOver(t.Context()))
	require.Equal(t, n, writes(client))
	is("v1", "ts")

	v2.owner.Stays = func(context.Context) (bool, error) { return false, errors.New("forbidden") }
	require.ErrorContains(t, v2.Apply(t.Context()), "forbidden")
}

// What a removed mesh leaves is nobody's; what another mesh wrote is left alone.
func TestReplaceAfterRemoval(t *testing.T) {
	client := apiextfake.NewClientset()
	require.NoError(t, newSet(t, client, "").Apply(t.Context()))
	const theirs = "retries.policy.openservicemesh.io"
	d := get(t, client, theirs)
	d.Labels[names.LabelAppInstance] = "two"
	d.Spec.Names.ShortNames = []string{"theirs"}
	_, err := client.ApiextensionsV1().CustomResourceDefinitions().Update(t.Context(), d, metav1.UpdateOptions{})
	require.NoError(t, err)

	gone, err := NewSet(client, Owner{Mesh: "osm", Version: "v0", Gone: true}, quiet)
	require.NoError(t, err)
	require.NoError(t, gone.Replace(t.Context()))
	require.NotContains(t, get(t, client, one).Labels, names.LabelAppInstance)
	require.Equal(t, "two", get(t, client, theirs).Labels[names.LabelAppInstance])
	require.Equal(t, []string{"theirs"}, get(t, client, theirs).Spec.Names.ShortNames)
}
