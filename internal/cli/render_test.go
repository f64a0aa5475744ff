package cli

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// offline runs a command that must not ask for a cluster.
func offline(t *testing.T, stdin string, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = Run(t.Context(), Options{
		In: strings.NewReader(stdin), Out: &o, Err: &e,
		Getenv:  func(string) string { return "" },
		Connect: func(Access) (*Cluster, error) { t.Error("asked for a cluster"); return nil, errors.New("no cluster") },
	}, args)
	return code, o.String(), e.String()
}

const bookstores = "../../docs/example/manifests"

func denied(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "mesh.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`
apiVersion: config.openservicemesh.io/v1alpha2
kind: MeshConfig
metadata: {name: osm-mesh-config, namespace: osm-system}
spec: {traffic: {enableEgress: false, enablePermissiveTrafficPolicyMode: false}}
`), 0o600))
	return file
}

func TestRenderListsProxies(t *testing.T) {
	code, out, errs := offline(t, "", "x", "render", "-f", bookstores+"/apps")
	require.Zero(t, code, errs)
	require.Equal(t, `PROXY                         PODS                          SERVICES
bookbuyer.bookbuyer           bookbuyer/bookbuyer           bookbuyer/bookbuyer
bookstore.bookstore           bookstore/bookstore           bookstore/bookstore
bookthief.bookthief           bookthief/bookthief           bookthief/bookthief
bookwarehouse.bookwarehouse   bookwarehouse/bookwarehouse   bookwarehouse/bookwarehouse
`, out)
	require.Empty(t, errs)
}

func TestRenderShowsPlan(t *testing.T) {
	code, out, errs := offline(t, "", "x", "render", "-f", bookstores+"/apps", "-f", bookstores+"/policies", "-f", denied(t), "--proxy", "bookbuyer.bookbuyer")
	require.Zero(t, code, errs)
	for _, want := range []string{
		"name: outbound_bookstore/bookstore_14001_http", "name: bookstore/bookstore-v2|14001", "weight: 75",
		"- bookstore-v2.bookstore.cluster.local",
	} {
		require.Contains(t, out, want)
	}
	require.NotContains(t, out, "bookwarehouse", "no policy lets bookbuyer call it")
}

func TestRenderShowsEnvoyResources(t *testing.T) {
	args := []string{"x", "render", "-f", bookstores + "/apps", "--proxy", "bookstore/bookstore", "-o", "envoy", "--trust-domain", "mesh.example"}
	code, out, errs := offline(t, "", args...)
	require.Zero(t, code, errs)
	for _, want := range []string{"listeners:\n", "routes:\n", "clusters:\n", "secrets:\n", "inbound_bookstore/bookstore_14001_http", "bookwarehouse.bookwarehouse.mesh.example"} {
		require.Contains(t, out, want)
	}
	_, again, _ := offline(t, "", args...)
	require.Equal(t, out, again)
}

func TestRenderReadsStandardInputAndReportsFindings(t *testing.T) {
	code, out, errs := offline(t, `
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: allow, namespace: shop}
spec:
  destination: {kind: ServiceAccount, name: shop, namespace: shop}
  sources: [{kind: ServiceAccount, name: client, namespace: client}]
  rules: [{kind: HTTPRouteGroup, name: nope, matches: [all]}]
---
apiVersion: v1
kind: Pod
metadata: {name: shop, namespace: shop}
spec: {serviceAccountName: shop, containers: [{name: app, image: app}]}
`, "x", "render", "-f", "-")
	require.Zero(t, code, errs)
	require.Contains(t, out, "shop.shop")
	require.Equal(t, "Error: TrafficTarget shop/allow: RouteGroupNotFound: spec.rules[0].name: HTTPRouteGroup shop/nope does not exist\n", errs)
}

func TestRenderErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"no file", []string{}, "Error: no manifests given; use -f DIR"},
		{"no such file", []string{"-f", "nope"}, "nope: no such file"},
		{"output", []string{"-f", bookstores, "-o", "xml"}, `Error: -o "xml" is not known; use ir or envoy`},
		{"unknown proxy", []string{"-f", bookstores + "/apps", "--proxy", "bookbuyer"},
			`Error: there is no proxy "bookbuyer"; use <serviceaccount>.<namespace> or <namespace>/<pod>: bookbuyer.bookbuyer, bookstore.bookstore, bookthief.bookthief, bookwarehouse.bookwarehouse`},
		{"several kinds", []string{"-f", "../../test/pipeline/testdata/pods-of-one-account-differ/in.yaml", "--proxy", "shop.shop"},
			"Error: pods of shop.shop back different services, so their proxies differ; name one of them: shop/a, shop/b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, errs := offline(t, "", append([]string{"x", "render"}, c.args...)...)
			require.Equal(t, 1, code)
			require.Empty(t, out)
			require.Contains(t, errs, c.want)
		})
	}
}
