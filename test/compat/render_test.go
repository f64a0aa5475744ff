package compat

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	release "helm.sh/helm/v4/pkg/release/v1"
	"helm.sh/helm/v4/pkg/strvals"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"openservicemesh.io/osm/charts"
)

// renderOpts is one installation of the chart; the zero value is `helm install osm -n osm-system` on Kubernetes 1.30.
type renderOpts struct {
	release, namespace, kube string
	sets                     []string
	values                   map[string]any
	apiVersions              []string
}

// render returns the release a client-side dry run makes.
func render(o renderOpts) (*release.Release, error) {
	chrt, err := charts.OSM()
	if err != nil {
		return nil, err
	}
	vals := o.values
	if vals == nil {
		vals = map[string]any{}
	}
	for _, s := range o.sets {
		if err := strvals.ParseInto(s, vals); err != nil {
			return nil, fmt.Errorf("invalid format for --set: %w", err)
		}
	}
	install := action.NewInstall(action.NewConfiguration())
	install.DryRunStrategy = action.DryRunClient
	install.ReleaseName = orElse(o.release, "osm")
	install.Namespace = orElse(o.namespace, "osm-system")
	install.APIVersions = o.apiVersions
	kube, err := common.ParseKubeVersion(orElse(o.kube, "v1.30.0"))
	if err != nil {
		return nil, err
	}
	install.KubeVersion = kube
	rel, err := install.RunWithContext(context.Background(), chrt, vals)
	if err != nil {
		return nil, err
	}
	return rel.(*release.Release), nil
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func mustRender(t *testing.T, o renderOpts) *release.Release {
	t.Helper()
	rel, err := render(o)
	require.NoError(t, err)
	return rel
}

// text is everything a release would create: the manifest, then the hooks in the order of their templates.
func text(rel *release.Release) string {
	var b strings.Builder
	b.WriteString(strings.TrimSpace(rel.Manifest))
	hooks := append([]*release.Hook(nil), rel.Hooks...)
	sort.SliceStable(hooks, func(i, j int) bool {
		return hooks[i].Path+hooks[i].Kind < hooks[j].Path+hooks[j].Kind
	})
	for _, h := range hooks {
		fmt.Fprintf(&b, "\n---\n# Source: %s\n%s", h.Path, strings.TrimSpace(h.Manifest))
	}
	b.WriteString("\n")
	return b.String()
}

// objects parses a multi-document YAML text.
func objects(t *testing.T, docs string) []unstructured.Unstructured {
	t.Helper()
	var out []unstructured.Unstructured
	for _, doc := range strings.Split(docs, "\n---") {
		var u unstructured.Unstructured
		require.NoError(t, yaml.Unmarshal([]byte(doc), &u.Object), doc)
		if len(u.Object) > 0 {
			out = append(out, u)
		}
	}
	return out
}

// find returns the one object of a kind and name.
func find(t *testing.T, objs []unstructured.Unstructured, kind, name string) unstructured.Unstructured {
	t.Helper()
	for _, o := range objs {
		if o.GetKind() == kind && o.GetName() == name {
			return o
		}
	}
	require.Failf(t, "object missing", "%s %s is not in the rendered chart", kind, name)
	return unstructured.Unstructured{}
}
