package preinstall

import (
	"errors"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"openservicemesh.io/osm/internal/obs/errcode"
)

func controller(ns, mesh, enforce string) *appsv1.Deployment {
	labels := map[string]string{"app": "osm-controller", "meshName": mesh}
	if enforce != "" {
		labels["enforceSingleMesh"] = enforce
	}
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "osm-controller", Labels: labels}}
}

func TestCheck(t *testing.T) {
	other := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "osm-system", Name: "web", Labels: map[string]string{"app": "web"}}}
	tests := map[string]struct {
		objects []runtime.Object
		cfg     Config
		want    string
	}{
		"empty cluster":           {nil, Config{Namespace: "osm-system", EnforceSingleMesh: true}, ""},
		"somebody's Deployment":   {[]runtime.Object{other}, Config{Namespace: "osm-system", EnforceSingleMesh: true}, ""},
		"beside a tolerant mesh":  {[]runtime.Object{controller("a", "one", "")}, Config{Namespace: "osm-system"}, ""},
		"label says false":        {[]runtime.Object{controller("a", "one", "false")}, Config{Namespace: "osm-system"}, ""},
		"another enforces":        {[]runtime.Object{controller("b", "two", "true"), controller("a", "one", "true"), controller("c", "three", "")}, Config{Namespace: "osm-system"}, "Mesh(es) namespace: a, name: one, namespace: b, name: two already enforce it is the only mesh in the cluster, cannot install new meshes"},
		"both enforce":            {[]runtime.Object{controller("a", "one", "true")}, Config{Namespace: "osm-system", EnforceSingleMesh: true}, "Mesh(es) namespace: a, name: one already enforce it is the only mesh in the cluster, cannot install new meshes"},
		"this one enforces":       {[]runtime.Object{controller("a", "one", "")}, Config{Namespace: "osm-system", EnforceSingleMesh: true}, "Mesh(es) namespace: a, name: one already exist so a new mesh enforcing it is the only one cannot be installed; set osm.enforceSingleMesh=false to install one beside them"},
		"namespace taken":         {[]runtime.Object{controller("osm-system", "one", "")}, Config{Namespace: "osm-system"}, "Namespace osm-system already contains mesh one; upgrade or uninstall it, or choose another namespace"},
		"all reasons are printed": {[]runtime.Object{controller("osm-system", "one", "true")}, Config{Namespace: "osm-system"}, "Mesh(es) namespace: osm-system, name: one already enforce it is the only mesh in the cluster, cannot install new meshes\nNamespace osm-system already contains mesh one; upgrade or uninstall it, or choose another namespace"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			client := fake.NewClientset(tt.objects...)
			err := Check(t.Context(), client, tt.cfg)
			if tt.want == "" {
				require.NoError(t, err)
			} else {
				require.EqualError(t, err, tt.want)
			}
			for _, a := range client.Actions() {
				require.Equal(t, "list", a.GetVerb(), "a check must change nothing")
			}
		})
	}
}

// A cluster that cannot be looked at is not one without meshes.
func TestCheckWithoutRights(t *testing.T) {
	client := fake.NewClientset()
	client.PrependReactor("list", "deployments", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("forbidden")
	})
	require.ErrorContains(t, Check(t.Context(), client, Config{Namespace: "x"}), "cannot list the Deployments of existing meshes in all namespaces: forbidden")
}

func TestParse(t *testing.T) {
	c, err := Parse([]string{"--namespace=ns"})
	require.NoError(t, err)
	require.Equal(t, Config{Verbosity: "info", Namespace: "ns", EnforceSingleMesh: true}, c)
	c, err = Parse([]string{"-v", "debug", "--enforce-single-mesh=false", "--namespace", "ns"})
	require.NoError(t, err)
	require.Equal(t, Config{Verbosity: "debug", Namespace: "ns"}, c)
	for _, args := range [][]string{nil, {"--namespace=ns", "extra"}, {"--nonsense"}, {"--namespace=ns", "--enforce-single-mesh=maybe"}} {
		_, err := Parse(args)
		require.Equal(t, errcode.InvalidCLIArgument, errcode.Of(err), "%q", args)
	}
	_, err = Parse([]string{"--help"})
	require.ErrorIs(t, err, pflag.ErrHelp)
}
