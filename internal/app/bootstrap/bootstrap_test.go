package bootstrap

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextfake "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset/fake"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	v1alpha2 "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/internal/app/crds"
	"openservicemesh.io/osm/internal/obs"
	"openservicemesh.io/osm/internal/obs/errcode"
	"openservicemesh.io/osm/internal/testkit/freeport"
)

var quiet = slog.New(slog.DiscardHandler)

const presetJSON = `{"sidecar":{"logLevel":"error"},"traffic":{"enableEgress":false,"enablePermissiveTrafficPolicyMode":true},"certificate":{"serviceCertValidityDuration":"24h","certKeyBitSize":2048}}`

func presetMap(data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "osm-system", Name: "preset-mesh-config"}, Data: data}
}

// cluster is a fake whose API server establishes definitions at once.
func cluster(core []runtime.Object, objects ...runtime.Object) (crds.Clients, *dynamicfake.FakeDynamicClient) {
	ext := apiextfake.NewClientset()
	ext.PrependReactor("create", "customresourcedefinitions", func(a k8stesting.Action) (bool, runtime.Object, error) {
		d := a.(k8stesting.CreateAction).GetObject().(*apiextv1.CustomResourceDefinition)
		d.Status.Conditions = []apiextv1.CustomResourceDefinitionCondition{{Type: apiextv1.Established, Status: apiextv1.ConditionTrue}}
		return false, nil, nil
	})
	dyn := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		v1alpha2.MeshConfigs: "MeshConfigList", v1alpha2.MeshRootCertificates: "MeshRootCertificateList"}, objects...)
	dyn.PrependReactor("patch", "*", func(a k8stesting.Action) (bool, runtime.Object, error) {
		patch := a.(k8stesting.PatchActionImpl)
		if patch.GetPatchType() != types.ApplyPatchType || patch.PatchOptions.FieldManager != "osm-bootstrap" || *patch.PatchOptions.Force {
			return true, nil, fmt.Errorf("an object is made by applying it, without force: %v", patch)
		}
		obj := &unstructured.Unstructured{}
		if err := obj.UnmarshalJSON(patch.GetPatch()); err != nil {
			return true, nil, err
		}
		return true, obj, dyn.Tracker().Create(a.GetResource(), obj, a.GetNamespace())
	})
	return crds.Clients{Core: fake.NewClientset(core...), CRDs: ext, Dynamic: dyn}, dyn
}

func config() Config {
	return Config{MeshName: "osm", Namespace: "osm-system", ConfigName: "osm-mesh-config", Version: "v1.3.0"}
}

func set(t *testing.T, c crds.Clients) *crds.Set {
	t.Helper()
	s, err := crds.NewSet(c.CRDs, crds.Owner{Mesh: "osm", Version: "v1.3.0"}, quiet)
	require.NoError(t, err)
	return s
}

func meshConfig(t *testing.T, c crds.Clients) *unstructured.Unstructured {
	t.Helper()
	mc, err := c.Dynamic.Resource(v1alpha2.MeshConfigs).Namespace("osm-system").Get(t.Context(), "osm-mesh-config", metav1.GetOptions{})
	require.NoError(t, err)
	return mc
}

func TestSetUpMakesMeshConfigFromItsPreset(t *testing.T) {
	c, _ := cluster([]runtime.Object{presetMap(map[string]string{"preset-mesh-config.json": presetJSON})})
	require.NoError(t, setUp(t.Context(), config(), c, set(t, c), quiet))
	mc := meshConfig(t, c)
	require.Equal(t, "config.openservicemesh.io/v1alpha2", mc.GetAPIVersion())
	spec, err := json.Marshal(mc.Object["spec"])
	require.NoError(t, err)
	require.JSONEq(t, presetJSON, string(spec))
	applied := mc.GetAnnotations()["kubectl.kubernetes.io/last-applied-configuration"]
	require.JSONEq(t, `{"apiVersion":"config.openservicemesh.io/v1alpha2","kind":"MeshConfig","metadata":{"annotations":{},"name":"osm-mesh-config","namespace":"osm-system"},"spec":`+presetJSON+`}`, applied)
	require.Equal(t, byte('\n'), applied[len(applied)-1])
	roots, err := c.Dynamic.Resource(v1alpha2.MeshRootCertificates).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.Empty(t, roots.Items, "no preset, no MeshRootCertificate")
}

func TestSetUpMakesTheMeshRootCertificateWhereThereIsAPreset(t *testing.T) {
	root := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "osm-system", Name: "preset-mesh-root-certificate"},
		Data: map[string]string{"preset-mesh-root-certificate.json": `{"role":"active"}`}}
	c, _ := cluster([]runtime.Object{root, presetMap(map[string]string{"preset-mesh-config.json": presetJSON})})
	require.NoError(t, setUp(t.Context(), config(), c, set(t, c), quiet))
	got, err := c.Dynamic.Resource(v1alpha2.MeshRootCertificates).Namespace("osm-system").Get(t.Context(), "osm-mesh-root-certificate", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, map[string]any{"role": "active"}, got.Object["spec"])
}

// What a user changed in MeshConfig must survive every restart and upgrade, even one whose preset is gone or broken.
func TestSetUpNeverTouchesMeshConfig(t *testing.T) {
	for name, core := range map[string][]runtime.Object{
		"other preset":  {presetMap(map[string]string{"preset-mesh-config.json": presetJSON})},
		"broken preset": {presetMap(map[string]string{"preset-mesh-config.json": "{"})},
		"no preset":     nil,
	} {
		t.Run(name, func(t *testing.T) {
			mine := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "config.openservicemesh.io/v1alpha2", "kind": "MeshConfig",
				"metadata": map[string]any{"namespace": "osm-system", "name": "osm-mesh-config"}, "spec": map[string]any{"traffic": map[string]any{"enableEgress": true}}}}
			c, dyn := cluster(core, mine)
			require.NoError(t, setUp(t.Context(), config(), c, set(t, c), quiet))
			require.Equal(t, mine, meshConfig(t, c))
			for _, a := range dyn.Actions() {
				require.Equal(t, "get", a.GetVerb())
			}
		})
	}
}

func TestSetUpNamesTheBrokenPreset(t *testing.T) {
	tests := map[string]struct {
		core []runtime.Object
		want string
	}{
		"missing":      {nil, "ConfigMap osm-system/preset-mesh-config, which MeshConfig osm-mesh-config is made of, cannot be read"},
		"no key":       {[]runtime.Object{presetMap(nil)}, "ConfigMap osm-system/preset-mesh-config has no key preset-mesh-config.json"},
		"no JSON":      {[]runtime.Object{presetMap(map[string]string{"preset-mesh-config.json": "sidecar: {}"})}, "key preset-mesh-config.json is not the JSON object of a MeshConfig's spec"},
		"a JSON list":  {[]runtime.Object{presetMap(map[string]string{"preset-mesh-config.json": "[]"})}, "is not the JSON object"},
		"JSON null":    {[]runtime.Object{presetMap(map[string]string{"preset-mesh-config.json": "null"})}, "it is null"},
		"empty string": {[]runtime.Object{presetMap(map[string]string{"preset-mesh-config.json": ""})}, "is not the JSON object"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, _ := cluster(tt.core)
			require.ErrorContains(t, setUp(t.Context(), config(), c, set(t, c), quiet), tt.want)
		})
	}
}

// An established definition is not served at once, and another replica may create in between.
func TestSetUpOutlastsTheAPIServer(t *testing.T) {
	c, dyn := cluster([]runtime.Object{presetMap(map[string]string{"preset-mesh-config.json": presetJSON})})
	tries := 0
	dyn.PrependReactor("patch", "meshconfigs", func(k8stesting.Action) (bool, runtime.Object, error) {
		if tries++; tries < 3 {
			return true, nil, &apierrors.StatusError{ErrStatus: metav1.Status{Reason: metav1.StatusReasonNotFound, Code: 404, Message: "the server could not find the requested resource"}}
		}
		return true, nil, apierrors.NewConflict(v1alpha2.Resource("meshconfigs"), "osm-mesh-config", errors.New("conflict with \"kubectl\""))
	})
	require.NoError(t, setUp(t.Context(), config(), c, set(t, c), quiet))
	require.Equal(t, 3, tries)

	dyn.PrependReactor("patch", "meshconfigs", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("spec.sidecar.logLevel: Unsupported value")
	})
	require.ErrorContains(t, setUp(t.Context(), config(), c, set(t, c), quiet),
		"cannot create MeshConfig osm-system/osm-mesh-config from ConfigMap preset-mesh-config key preset-mesh-config.json: spec.sidecar.logLevel")
}

func TestRunIsWellOnlyWhenAllIsInPlace(t *testing.T) {
	c, dyn := cluster([]runtime.Object{presetMap(map[string]string{"preset-mesh-config.json": presetJSON})})
	hold := make(chan struct{})
	dyn.PrependReactor("patch", "meshconfigs", func(k8stesting.Action) (bool, runtime.Object, error) {
		<-hold
		return false, nil, nil
	})
	cfg := config()
	cfg.HTTPPort = int(freeport.Get(t))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, cfg, c, obs.NewMetrics(), quiet) }()
	status := func(path string) (int, string) {
		res, err := http.Get("http://127.0.0.1:" + strconv.Itoa(cfg.HTTPPort) + path)
		if err != nil {
			return 0, err.Error()
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(b)
	}
	is := func(want int) func() bool {
		return func() bool { code, _ := status("/healthz"); return code == want }
	}
	require.Eventually(t, is(503), 10*time.Second, 5*time.Millisecond)
	close(hold)
	require.Eventually(t, is(200), 10*time.Second, 5*time.Millisecond)
	_, body := status("/healthz")
	require.Equal(t, "Health OK", body)
	code, body := status("/version")
	require.Equal(t, 200, code)
	require.Contains(t, body, `"version"`)
	code, _ = status("/metrics")
	require.Equal(t, 200, code)
	cancel()
	require.NoError(t, <-ended)
}

func TestRunEndsWhenItCannotServeOrSetUp(t *testing.T) {
	ln, err := net.Listen("tcp", ":0")
	require.NoError(t, err)
	defer ln.Close()
	cfg := config()
	cfg.HTTPPort = ln.Addr().(*net.TCPAddr).Port
	c, _ := cluster([]runtime.Object{presetMap(map[string]string{"preset-mesh-config.json": presetJSON})})
	require.ErrorContains(t, Run(t.Context(), cfg, c, obs.NewMetrics(), quiet), "HTTP server on :"+strconv.Itoa(cfg.HTTPPort))

	cfg.HTTPPort = int(freeport.Get(t))
	c, _ = cluster(nil)
	require.ErrorContains(t, Run(t.Context(), cfg, c, obs.NewMetrics(), quiet), "preset-mesh-config")
}

func TestParse(t *testing.T) {
	// As the chart writes it.
	c, err := Parse([]string{"--verbosity=info", "--mesh-name=osm", "--osm-namespace=osm-system", "--osm-config-name=osm-mesh-config", "--osm-version=v1.3.0",
		"--certificate-manager=tresor", "--ca-bundle-secret-name=osm-ca-bundle", "--trust-domain=cluster.local", "--enable-reconciler=true", "--http-port=9095"})
	require.NoError(t, err)
	require.NoError(t, c.Certificates.Check())
	require.Equal(t, ":9095", c.addr())
	require.True(t, c.Reconcile)
	c, err = Parse([]string{"--mesh-name=osm", "--osm-namespace=osm-system"})
	require.NoError(t, err)
	require.Equal(t, ":9091", c.addr())

	for want, args := range map[string][]string{
		"--mesh-name is empty":         {"--osm-namespace=x"},
		"--osm-namespace is empty":     {"--mesh-name=x"},
		"--osm-config-name is empty":   {"--mesh-name=x", "--osm-namespace=x", "--osm-config-name="},
		"--http-port 0 is not a port":  {"--mesh-name=x", "--osm-namespace=x", "--http-port=0"},
		`unexpected argument "serve"`:  {"--mesh-name=x", "--osm-namespace=x", "serve"},
		"unknown flag: --mesh":         {"--mesh=x"},
		`invalid argument "many" for`:  {"--http-port=many"},
		"--http-port 70000 is not a p": {"--mesh-name=x", "--osm-namespace=x", "--http-port=70000"},
	} {
		_, err := Parse(args)
		require.ErrorContains(t, err, want)
		require.Equal(t, errcode.InvalidCLIArgument, errcode.Of(err))
	}
	_, err = Parse([]string{"--help"})
	require.ErrorIs(t, err, pflag.ErrHelp)
}
