package crds_test

import (
	"context"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiext "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"

	"openservicemesh.io/osm/api/crds"
	"openservicemesh.io/osm/api/scheme"
)

func all(t *testing.T) []*apiext.CustomResourceDefinition {
	t.Helper()
	defs, err := crds.All()
	require.NoError(t, err)
	return defs
}

// TestTheAPIServerTakesEveryDefinition runs the validation that a create
// request for the definition goes through, after the defaulting.
func TestTheAPIServerTakesEveryDefinition(t *testing.T) {
	for _, def := range all(t) {
		t.Run(def.Name, func(t *testing.T) {
			apiext.SetDefaults_CustomResourceDefinition(def)
			apiext.SetDefaults_CustomResourceDefinitionSpec(&def.Spec)
			internal := &apiextensions.CustomResourceDefinition{}
			require.NoError(t, apiext.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(def, internal, nil))
			require.NoError(t, validation.ValidateCustomResourceDefinition(context.Background(), internal).ToAggregate())
		})
	}
}

func TestEveryDefinitionIsOneFileNamedAfterIt(t *testing.T) {
	names, err := fs.Glob(crds.Files(), "*.yaml")
	require.NoError(t, err)
	var want []string
	for _, def := range all(t) {
		want = append(want, def.Spec.Group+"_"+def.Spec.Names.Plural+".yaml")
	}
	require.Equal(t, want, names)
	require.True(t, slices.IsSorted(names))
}

func TestAllReturnsCopiesOfItsOwn(t *testing.T) {
	all(t)[0].Spec.Versions[0].Served = false
	require.True(t, all(t)[0].Spec.Versions[0].Served)
}

// TestTheTableOfKindsIsWhatTheDefinitionsSay holds scheme.Kinds against the
// generated files, so that neither can change alone.
func TestTheTableOfKindsIsWhatTheDefinitionsSay(t *testing.T) {
	var got []scheme.Kind
	for _, def := range all(t) {
		for _, v := range def.Spec.Versions {
			k := scheme.Kind{
				Group: def.Spec.Group, Version: v.Name, Kind: def.Spec.Names.Kind,
				Plural: def.Spec.Names.Plural, ShortNames: def.Spec.Names.ShortNames,
				Namespaced: def.Spec.Scope == apiext.NamespaceScoped,
				HasStatus:  v.Subresources != nil && v.Subresources.Status != nil,
				Served:     v.Served, Storage: v.Storage, Deprecated: v.Deprecated,
			}
			require.Equal(t, def.Name, k.CRDName())
			require.Equal(t, def.Spec.Names.Singular, k.Singular())
			got = append(got, k)
		}
	}
	if d := cmp.Diff(got, scheme.Kinds()); d != "" {
		t.Errorf("definitions (-), table (+):\n%s", d)
	}
}

func TestEveryDefinitionHasTheLabelAndNoConversion(t *testing.T) {
	for _, def := range all(t) {
		require.Equal(t, map[string]string{"app.kubernetes.io/name": "openservicemesh.io"}, def.Labels, def.Name)
		require.Equal(t, &apiext.CustomResourceConversion{Strategy: apiext.NoneConverter}, def.Spec.Conversion, def.Name)
		require.Empty(t, def.Annotations, def.Name)
	}
}

// TestPrinterColumns holds the columns of `kubectl get` that users know.
func TestPrinterColumns(t *testing.T) {
	const status, age = "Status=.status.currentStatus", "Age=.metadata.creationTimestamp"
	want := map[string][]string{
		"egresses/v1alpha1":                {age},
		"extensionservices/v1alpha2":       {age},
		"httproutegroups/v1alpha4":         {age},
		"ingressbackends/v1alpha1":         {status, age},
		"meshconfigs/v1alpha1":             {age},
		"meshconfigs/v1alpha2":             {age},
		"meshrootcertificates/v1alpha2":    {"Role=.spec.role", "State=.status.state", age},
		"retries/v1alpha1":                 {age},
		"serviceexports/v1alpha1":          {age},
		"serviceimports/v1alpha1":          {"Type=.spec.type", "IP=.spec.ips", age},
		"tcproutes/v1alpha4":               {age},
		"telemetries/v1alpha1":             {status, age},
		"trafficsplits/v1alpha2":           {"Service=.spec.service", age},
		"trafficsplits/v1alpha3":           {"Service=.spec.service", age},
		"trafficsplits/v1alpha4":           {"Service=.spec.service", age},
		"traffictargets/v1alpha3":          {age},
		"upstreamtrafficsettings/v1alpha1": {status, age},
	}
	got := map[string][]string{}
	for _, def := range all(t) {
		for _, v := range def.Spec.Versions {
			if !v.Served {
				require.Empty(t, v.AdditionalPrinterColumns)
				continue
			}
			var columns []string
			for _, c := range v.AdditionalPrinterColumns {
				columns = append(columns, c.Name+"="+c.JSONPath)
			}
			got[def.Spec.Names.Plural+"/"+v.Name] = columns
		}
	}
	require.Equal(t, want, got)
}

func TestMeshConfigV1alpha1WarnsItsUsers(t *testing.T) {
	for _, def := range all(t) {
		for _, v := range def.Spec.Versions {
			if def.Spec.Names.Plural != "meshconfigs" || v.Name != "v1alpha1" {
				require.Nil(t, v.DeprecationWarning, def.Name)
				continue
			}
			require.NotNil(t, v.DeprecationWarning)
			require.Equal(t, "config.openservicemesh.io/v1alpha1 MeshConfig is deprecated; use config.openservicemesh.io/v1alpha2 MeshConfig", *v.DeprecationWarning)
		}
	}
}

// TestEveryFieldIsDescribed: `kubectl explain` is documentation that users have
// at hand; the exception is what the apimachinery types leave out.
func TestEveryFieldIsDescribed(t *testing.T) {
	undescribed := map[string]bool{"metadata": true}
	for _, def := range all(t) {
		for _, v := range def.Spec.Versions {
			walk(def.Name+"/"+v.Name, v.Schema.OpenAPIV3Schema, func(path string, s *apiext.JSONSchemaProps) {
				last := path[strings.LastIndex(path, ".")+1:]
				if s.Description == "" && !strings.HasSuffix(path, "[]") && !strings.HasSuffix(path, "{}") && !undescribed[last] {
					t.Errorf("%s has no description", path)
				}
			})
		}
	}
}

// walk calls visit for a schema and everything in it; a list's items are
// path[], a map's values path{}.
func walk(path string, s *apiext.JSONSchemaProps, visit func(string, *apiext.JSONSchemaProps)) {
	visit(path, s)
	for _, name := range sortedKeys(s.Properties) {
		child := s.Properties[name]
		walk(path+"."+name, &child, visit)
	}
	if s.Items != nil {
		walk(path+"[]", s.Items.Schema, visit)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		walk(path+"{}", s.AdditionalProperties.Schema, visit)
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
