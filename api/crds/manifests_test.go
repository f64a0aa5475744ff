package crds_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/json"

	"openservicemesh.io/osm/api/scheme"
)

const wantPrefix = "# want: "

// manifest is one file of an archive in testdata.
type manifest struct {
	verdict, name string
	document      []byte
	want          string
}

func manifests(t *testing.T) []manifest {
	t.Helper()
	archives, err := filepath.Glob("testdata/*.txtar")
	require.NoError(t, err)
	var out []manifest
	for _, path := range archives {
		archive, err := txtar.ParseFile(path)
		require.NoError(t, err)
		require.Empty(t, archive.Comment, path)
		for _, f := range archive.Files {
			verdict, name, _ := strings.Cut(strings.TrimSuffix(f.Name, ".yaml"), "/")
			first, _, _ := bytes.Cut(f.Data, []byte("\n"))
			want, found := strings.CutPrefix(string(first), wantPrefix)
			require.Equal(t, verdict == "reject", found, "%s: %s", path, f.Name)
			kind := strings.TrimSuffix(filepath.Base(path), ".txtar")
			m := manifest{verdict: verdict, name: kind + "/" + name, document: f.Data}
			if found {
				m.want = want
			}
			out = append(out, m)
		}
	}
	return out
}

func TestManifests(t *testing.T) {
	server := newAPIServer(t)
	for _, m := range manifests(t) {
		t.Run(m.verdict+"/"+m.name, func(t *testing.T) {
			object := parse(t, m.document)
			switch m.verdict {
			case "accept":
				_, err := server.create(object)
				require.NoError(t, err)
				_, err = server.admit(object)
				require.NoError(t, err)
				roundTrip(t, server, m.document)
			case "status":
				require.Contains(t, object, "status")
				_, err := server.admit(object)
				require.NoError(t, err)
				roundTrip(t, server, m.document)
			case "reject":
				_, err := server.create(object)
				require.ErrorContains(t, err, m.want)
			default:
				t.Fatalf("verdict %q is not one of accept, status, reject", m.verdict)
			}
		})
	}
}

// TestEveryServedVersionHasManifests keeps the archives complete.
func TestEveryServedVersionHasManifests(t *testing.T) {
	accepted, rejected := map[string]bool{}, map[string]bool{}
	for _, m := range manifests(t) {
		object := parse(t, m.document)
		key := fmt.Sprintf("%s %s", object["apiVersion"], object["kind"])
		if m.verdict == "reject" {
			rejected[key] = true
		} else {
			accepted[key] = true
		}
	}
	for _, k := range scheme.Served() {
		key := fmt.Sprintf("%s/%s %s", k.Group, k.Version, k.Kind)
		require.True(t, accepted[key], key)
		// A ServiceExport has no spec that could be wrong.
		require.Equal(t, k.Kind != "ServiceExport", rejected[key], key)
	}
}

// roundTrip reads a document into its Go type, strictly, and writes it again:
// nothing may be lost, what comes anew is only the zero value of some field,
// and the API server takes the result.
func roundTrip(t *testing.T, server *apiServer, document []byte) {
	t.Helper()
	s, codecs, err := scheme.New()
	require.NoError(t, err)
	typed, gvk, err := codecs.UniversalDeserializer().Decode(document, nil, nil)
	require.NoError(t, err)
	require.True(t, s.Recognizes(*gvk))

	before, after := parse(t, document), encode(t, typed)
	delete(after["metadata"].(map[string]any), "creationTimestamp")
	requireCovered(t, "", before, after)
	_, err = server.admit(after)
	require.NoError(t, err)

	again, err := runtime.DefaultUnstructuredConverter.ToUnstructured(typed)
	require.NoError(t, err)
	delete(again["metadata"].(map[string]any), "creationTimestamp")
	require.Empty(t, cmp.Diff(after, again), "the converter of the dynamic client writes something else")

	clone := typed.DeepCopyObject()
	require.Empty(t, cmp.Diff(typed, clone))
	require.NotSame(t, typed, clone)
}

func encode(t *testing.T, object runtime.Object) map[string]any {
	t.Helper()
	raw, err := json.Marshal(object)
	require.NoError(t, err)
	var out map[string]any
	require.NoError(t, json.Unmarshal(raw, &out))
	return out
}

// requireCovered fails unless everything in before is in after, and everything
// else in after is zero.
func requireCovered(t *testing.T, path string, before, after any) {
	t.Helper()
	switch b := before.(type) {
	case map[string]any:
		a, ok := after.(map[string]any)
		require.True(t, ok, "%s is gone", path)
		for key, value := range b {
			requireCovered(t, path+"."+key, value, a[key])
		}
		for key, value := range a {
			if _, ok := b[key]; !ok {
				require.True(t, isZero(value), "%s.%s is new: %v", path, key, value)
			}
		}
	case []any:
		a, ok := after.([]any)
		require.True(t, ok, "%s is gone", path)
		require.Len(t, a, len(b), path)
		for i := range b {
			requireCovered(t, fmt.Sprintf("%s[%d]", path, i), b[i], a[i])
		}
	default:
		require.Equal(t, before, after, path)
	}
}

func isZero(value any) bool {
	switch v := value.(type) {
	case map[string]any:
		for _, field := range v {
			if !isZero(field) {
				return false
			}
		}
		return true
	case bool:
		return !v
	case int64:
		return v == 0
	case string:
		return v == ""
	}
	return false
}

func TestZeroMeansZero(t *testing.T) {
	require.True(t, isZero(map[string]any{"a": false, "b": int64(0), "c": map[string]any{}}))
	for _, value := range []any{true, int64(1), "x", []any{}, nil, map[string]any{"a": true}} {
		require.False(t, isZero(value), "%v", value)
	}
}

var documentEnd = regexp.MustCompile(`(?m)^---\s*$`)

// TestTheExamplesAreAccepted takes every custom resource in the manifests that
// the documentation tells users to apply.
func TestTheExamplesAreAccepted(t *testing.T) {
	server := newAPIServer(t)
	known := map[string]bool{}
	for _, k := range scheme.Kinds() {
		known[k.Group] = true
	}
	seen := 0
	err := filepath.WalkDir("../../docs/example/manifests", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".yaml" {
			return err
		}
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, document := range documentEnd.Split(string(content), -1) {
			object := parse(t, []byte(document))
			apiVersion, _ := object["apiVersion"].(string)
			if group, _, _ := strings.Cut(apiVersion, "/"); !known[group] {
				continue
			}
			seen++
			_, err := server.create(object)
			require.NoError(t, err, path)
			roundTrip(t, server, []byte(document))
		}
		return nil
	})
	require.NoError(t, err)
	require.Positive(t, seen)
}
