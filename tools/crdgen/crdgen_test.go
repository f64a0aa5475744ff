package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	apiext "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

const repository = "../.."

func TestTheCommittedFilesAreWhatIsGenerated(t *testing.T) {
	require.NoError(t, run(repository, true))
}

func TestGenerateIsDeterministic(t *testing.T) {
	first, err := Generate(repository)
	require.NoError(t, err)
	second, err := Generate(repository)
	require.NoError(t, err)
	require.Equal(t, first, second)
	require.Contains(t, first, "api/crds/policy.openservicemesh.io_egresses.yaml")
	require.Contains(t, first, "api/policy/v1alpha1/zz_generated.deepcopy.go")
}

func TestGenerateNeedsKinds(t *testing.T) {
	root := t.TempDir()
	writeFile(t, root, "go.mod", "module example.com/m\n\ngo 1.26\n")
	writeFile(t, root, "api/doc.go", "package api\n")
	_, err := Generate(root)
	require.ErrorContains(t, err, "no kinds found below ./api")
}

func TestWriteBringsFilesUpToDate(t *testing.T) {
	root := t.TempDir()
	writeFile(t, root, "api/crds/same.yaml", "same")
	writeFile(t, root, "api/crds/changed.yaml", "old")
	writeFile(t, root, "api/crds/orphan.yaml", "orphan")
	files := map[string][]byte{
		"api/crds/same.yaml":    []byte("same"),
		"api/crds/changed.yaml": []byte("new"),
		"api/a/missing.go":      []byte("package a\n"),
	}

	changed, err := diff(root, files)
	require.NoError(t, err)
	require.Equal(t, []string{"api/a/missing.go", "api/crds/changed.yaml", "api/crds/orphan.yaml"}, changed)

	require.NoError(t, write(root, changed, files))
	changed, err = diff(root, files)
	require.NoError(t, err)
	require.Empty(t, changed)
	require.NoFileExists(t, filepath.Join(root, "api/crds/orphan.yaml"))
}

func TestPostProcessRefusesRulesThatDoNotFit(t *testing.T) {
	text := apiext.JSONSchemaProps{Type: "string"}
	s := &apiext.JSONSchemaProps{Type: "object", Properties: map[string]apiext.JSONSchemaProps{
		"list": {Type: "array", Items: &apiext.JSONSchemaPropsOrArray{Schema: &apiext.JSONSchemaProps{
			Type: "object", Properties: map[string]apiext.JSONSchemaProps{"a": text, "b": text, "c": text},
		}}},
	}}
	only := func(fields ...string) func(*apiext.JSONSchemaProps) error {
		return func(s *apiext.JSONSchemaProps) error { return requireOneOf(s, fields) }
	}
	for _, test := range []struct {
		name, want string
		path       []string
		edit       func(*apiext.JSONSchemaProps) error
	}{
		{"no such field on the way", `the schema has no field "other"`, []string{"other"}, openSchema},
		{"no such field below a list", `list: the schema has no field "other"`, []string{"list", "items", "other"}, openSchema},
		{"no such field to choose", `list: the schema has no field "d"`, []string{"list", "items"}, only("a", "d")},
		{"a field that is left over", `list: the field "c" is neither required nor one of [a b]`, []string{"list", "items"}, only("a", "b")},
	} {
		t.Run(test.name, func(t *testing.T) {
			require.EqualError(t, editSchema(s.DeepCopy(), test.path, test.edit), test.want)
		})
	}
	require.NoError(t, editSchema(s, []string{"list", "items"}, only("a", "b", "c")))
	require.Len(t, s.Properties["list"].Items.Schema.OneOf, 3)
}

// TestEveryRuleNamesADefinition finds rules that outlived their kind.
func TestEveryRuleNamesADefinition(t *testing.T) {
	files, err := Generate(repository)
	require.NoError(t, err)
	names := map[string]bool{}
	for path := range files {
		if filepath.Ext(path) != ".yaml" {
			continue
		}
		content := &apiext.CustomResourceDefinition{}
		require.NoError(t, yaml.UnmarshalStrict(files[path], content))
		names[content.Name] = true
	}
	for name := range unserved {
		require.True(t, names[name], name)
	}
	for name := range oneOf {
		require.True(t, names[name], name)
	}
	for name := range open {
		require.True(t, names[name], name)
	}
}

func writeFile(t *testing.T, root, path, content string) {
	t.Helper()
	full := filepath.Join(root, path)
	require.NoError(t, os.MkdirAll(filepath.Dir(full), 0o755))
	require.NoError(t, os.WriteFile(full, []byte(content), 0o600))
}
