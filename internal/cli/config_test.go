package cli

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"
)

// answer is what a pod says through the API server's proxy.
type answer string

func (a answer) DoRaw(context.Context) ([]byte, error)         { return []byte(a), nil }
func (a answer) Stream(context.Context) (io.ReadCloser, error) { return nil, io.ErrUnexpectedEOF }

var _ rest.ResponseWrapper = answer("")

func (w *world) config(text string) {
	path := filepath.Join(w.t.TempDir(), "config.yaml")
	require.NoError(w.t, os.WriteFile(path, []byte(text), 0o600))
	w.env["OSM_CONFIG"] = path
}

func TestEnv(t *testing.T) {
	w := newWorld(t)
	require.Equal(t, "--- \ninstall:\n  kind: self-hosted\n  distribution: \"\"\n  namespace: osm-system\n\n", w.succeeds("env"))
	w.config("install:\n  kind: managed\n  distribution: arc\n  namespace: arc-osm-system\n")
	require.Equal(t, "--- \ninstall:\n  kind: managed\n  distribution: \"arc\"\n  namespace: arc-osm-system\n\n", w.succeeds("env"))
}

func TestConfigFromHome(t *testing.T) {
	w := newWorld(t)
	home := t.TempDir()
	w.env = map[string]string{"HOME": home}
	require.Contains(t, w.succeeds("env"), "namespace: osm-system")
	require.NoError(t, os.MkdirAll(filepath.Join(home, ".osm"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(home, ".osm", "config.yaml"), []byte("install: {namespace: elsewhere}"), 0o600))
	require.Contains(t, w.succeeds("env"), "namespace: elsewhere")
}

func TestConfigBroken(t *testing.T) {
	for text, want := range map[string]string{
		"install: [":              "Error parsing environment configuration: ",
		"install: {kind: manged}": `install.kind is "manged", must be self-hosted or managed`,
	} {
		w := newWorld(t)
		w.config(text)
		stderr := w.fails("env")
		require.Contains(t, stderr, want)
		require.Regexp(t, "^Error parsing environment configuration: ", stderr)
	}
}

func TestManagedHidesCommands(t *testing.T) {
	w := newWorld(t)
	w.config("install: {kind: managed}")
	require.Equal(t, "Error: unknown command \"install\" for \"osm\"\nRun 'osm --help' for usage.\n", w.fails("install"))
	root, err := New(Options{Getenv: func(key string) string { return w.env[key] }})
	require.NoError(t, err)
	cmd, _, err := root.Find([]string{"mesh", "upgrade"})
	require.NoError(t, err)
	require.Equal(t, "mesh", cmd.Name(), "mesh upgrade is not there")
}

func TestFetch(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/config_dump" || r.URL.RawQuery != "include_eds" {
			http.Error(w, "no such query", http.StatusNotFound)
			return
		}
		_, _ = io.WriteString(w, "dump")
	}))
	defer server.Close()
	body, err := fetch(t.Context(), http.MethodGet, server.URL+"/config_dump?include_eds")
	require.NoError(t, err)
	require.Equal(t, "dump", string(body))
	_, err = fetch(t.Context(), http.MethodGet, server.URL+"/nope")
	require.ErrorContains(t, err, "404 Not Found: no such query")
}
