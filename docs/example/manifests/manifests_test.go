package manifests

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"openservicemesh.io/osm/internal/version"
)

// load reads every document of the named files.
func load(t *testing.T, files ...string) []unstructured.Unstructured {
	t.Helper()
	var all []unstructured.Unstructured
	for _, file := range files {
		data, err := Files.ReadFile(file)
		require.NoError(t, err)
		for _, doc := range strings.Split(string(data), "\n---\n") {
			var u unstructured.Unstructured
			require.NoError(t, yaml.UnmarshalStrict([]byte(doc), &u.Object), file)
			all = append(all, u)
		}
	}
	return all
}

func allFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	require.NoError(t, fs.WalkDir(Files, ".", func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			require.Equal(t, ".yaml", path.Ext(p))
			files = append(files, p)
		}
		return err
	}))
	return files
}

// into decodes u strictly into a Kubernetes type, so an unknown field fails.
func into[T any](t *testing.T, u unstructured.Unstructured) T {
	t.Helper()
	data, err := yaml.Marshal(u.Object)
	require.NoError(t, err)
	var out T
	require.NoError(t, yaml.UnmarshalStrict(data, &out), "%s %s", u.GetKind(), u.GetName())
	return out
}

func ids(objects []unstructured.Unstructured) []string {
	var out []string
	for _, o := range objects {
		id := o.GetAPIVersion() + " " + o.GetKind() + " " + o.GetNamespace() + "/" + o.GetName()
		out = append(out, strings.Replace(id, " /", " ", 1))
	}
	slices.Sort(out)
	return out
}

func TestFilesHoldWhatTheWalkThroughNames(t *testing.T) {
	app := func(ns string) []string {
		return []string{
			"apps/v1 Deployment " + ns + "/" + ns, "v1 Namespace " + ns,
			"v1 Service " + ns + "/" + ns, "v1 ServiceAccount " + ns + "/" + ns,
		}
	}
	access := []string{
		"access.smi-spec.io/v1alpha3 TrafficTarget bookstore/bookbuyer-access-bookstore",
		"access.smi-spec.io/v1alpha3 TrafficTarget bookwarehouse/bookstore-access-bookwarehouse",
		"specs.smi-spec.io/v1alpha4 HTTPRouteGroup bookstore/bookstore-service-routes",
		"specs.smi-spec.io/v1alpha4 HTTPRouteGroup bookwarehouse/bookwarehouse-service-routes",
	}
	split := []string{"split.smi-spec.io/v1alpha2 TrafficSplit bookstore/bookstore-split"}
	want := map[string][]string{
		"apps/bookbuyer.yaml":                       app("bookbuyer"),
		"apps/bookthief.yaml":                       app("bookthief"),
		"apps/bookstore.yaml":                       app("bookstore"),
		"apps/bookwarehouse.yaml":                   app("bookwarehouse"),
		"policies/01-deploy-smi-access-policy.yaml": access,
		"access/traffic-access-v1.yaml":             access,
		"access/traffic-access-v1-allow-bookthief.yaml": append(slices.Clone(access),
			"access.smi-spec.io/v1alpha3 TrafficTarget bookstore/bookthief-access-bookstore"),
		"policies/02-deploy-bookstore-v2.yaml": {
			"access.smi-spec.io/v1alpha3 TrafficTarget bookstore/bookbuyer-access-bookstore-v2",
			"apps/v1 Deployment bookstore/bookstore-v2",
			"v1 Service bookstore/bookstore-v2", "v1 ServiceAccount bookstore/bookstore-v2",
		},
		"policies/03-deploy-smi-trafficsplit.yaml": split,
		"split/traffic-split-v1.yaml":              split,
		"split/traffic-split-50-50.yaml":           split,
		"split/traffic-split-v2.yaml":              split,
	}
	require.Equal(t, slices.Sorted(maps.Keys(want)), allFiles(t))
	for file, objects := range want {
		slices.Sort(objects)
		require.Equal(t, objects, ids(load(t, file)), file)
	}
}

func TestDeploymentsUseThisVersionsImages(t *testing.T) {
	for _, file := range allFiles(t) {
		for _, u := range load(t, file) {
			if u.GetKind() != "Deployment" {
				continue
			}
			d := into[appsv1.Deployment](t, u)
			c := d.Spec.Template.Spec.Containers[0]
			require.Equal(t, fmt.Sprintf("openservicemesh/%s:%s", c.Name, version.Version), c.Image,
				"%s: the tag follows internal/version", file)
			require.Equal(t, corev1.PullIfNotPresent, c.ImagePullPolicy, file)
			require.Equal(t, d.Spec.Selector.MatchLabels, d.Spec.Template.Labels, file)
			require.Equal(t, int32(14001), c.Ports[0].ContainerPort, file)
			require.True(t, *c.SecurityContext.RunAsNonRoot, file)
		}
	}
}

// A split of bookstore means nothing unless each Service stands for the pods
// of exactly one version.
func TestServicesSelectTheirOwnDeploymentAlone(t *testing.T) {
	objects := load(t, "apps/bookbuyer.yaml", "apps/bookthief.yaml", "apps/bookstore.yaml",
		"apps/bookwarehouse.yaml", "policies/02-deploy-bookstore-v2.yaml")
	accounts := map[string]bool{}
	for _, u := range objects {
		if u.GetKind() == "ServiceAccount" {
			accounts[u.GetNamespace()+"/"+u.GetName()] = true
		}
	}
	for _, s := range objects {
		if s.GetKind() != "Service" {
			continue
		}
		svc := into[corev1.Service](t, s)
		var selected []string
		for _, u := range objects {
			if u.GetKind() != "Deployment" || u.GetNamespace() != svc.Namespace {
				continue
			}
			d := into[appsv1.Deployment](t, u)
			require.True(t, accounts[d.Namespace+"/"+d.Spec.Template.Spec.ServiceAccountName], "service account of %s", d.Name)
			if labels.SelectorFromSet(svc.Spec.Selector).Matches(labels.Set(d.Spec.Template.Labels)) {
				selected = append(selected, d.Name)
			}
		}
		require.Equal(t, []string{svc.Name}, selected)
		require.Equal(t, int32(14001), svc.Spec.Ports[0].Port)
	}
}

func TestSplits(t *testing.T) {
	for file, want := range map[string][2]int64{
		"policies/03-deploy-smi-trafficsplit.yaml": {25, 75},
		"split/traffic-split-v1.yaml":              {100, 0},
		"split/traffic-split-50-50.yaml":           {50, 50},
		"split/traffic-split-v2.yaml":              {0, 100},
	} {
		require.Equal(t, map[string]any{
			"service": "bookstore.bookstore",
			"backends": []any{
				map[string]any{"service": "bookstore", "weight": float64(want[0])},
				map[string]any{"service": "bookstore-v2", "weight": float64(want[1])},
			},
		}, load(t, file)[0].Object["spec"], file)
	}
}

// The two guides name the policy by different paths; it is one policy.
func TestBothGuidesApplyTheSameAccessPolicy(t *testing.T) {
	a, err := Files.ReadFile("policies/01-deploy-smi-access-policy.yaml")
	require.NoError(t, err)
	b, err := Files.ReadFile("access/traffic-access-v1.yaml")
	require.NoError(t, err)
	require.Equal(t, string(a), string(b))
}
