package imageset

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/stretchr/testify/require"
)

// checkout writes a tiny module with this module's name and two programs, one
// of the product, which prints its version, and one demonstration.
func checkout(t *testing.T) Module {
	t.Helper()
	root := t.TempDir()
	for file, text := range map[string]string{
		"go.mod":                      "module " + modulePath + "\n\ngo 1.26.0\n",
		"internal/version/version.go": "package version\n\nvar Version, GitCommit, BuildDate string\n",
		"cmd/osm-crds/main.go": "package main\n\nimport \"" + modulePath + "/internal/version\"\n\n" +
			"func main() { print(version.Version, \" \", version.GitCommit, \" \", version.BuildDate) }\n",
		"demo/cmd/bookstore/main.go": "package main\n\nfunc main() { print(\"books\") }\n",
	} {
		path := filepath.Join(root, file)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	m, err := FindModule(context.Background(), filepath.Join(root, "cmd"), "v9")
	require.NoError(t, err)
	m.Commit, m.Date = "abc", "2026-01-02T03:04:05Z"
	return m
}

func options(t *testing.T, m Module, names ...string) Options {
	t.Helper()
	specs, err := Select(names)
	require.NoError(t, err)
	return Options{Module: m, Dir: t.TempDir(), Registry: "openservicemesh", Tag: "v9", Arch: "amd64", Specs: specs}
}

func TestBuildIsReproducible(t *testing.T) {
	var tars [][]byte
	var digests []string
	for range 2 {
		o := options(t, checkout(t), "osm-crds")
		built, err := Build(context.Background(), o)
		require.NoError(t, err)
		data, err := os.ReadFile(filepath.Join(o.Dir, "osm-crds.tar"))
		require.NoError(t, err)
		tars, digests = append(tars, data), append(digests, built[0].Digest)
	}
	require.Equal(t, digests[0], digests[1])
	require.Equal(t, tars[0], tars[1])
}

func TestBuildStampsAndNames(t *testing.T) {
	o := options(t, checkout(t), "osm-crds", "bookstore")
	built, err := Build(context.Background(), o)
	require.NoError(t, err)
	require.Equal(t, "openservicemesh/osm-crds:v9", built[0].Reference)
	require.Equal(t, "openservicemesh/bookstore:v9", built[1].Reference)

	tag, err := name.NewTag(built[0].Reference)
	require.NoError(t, err)
	img, err := tarball.ImageFromPath(filepath.Join(o.Dir, built[0].Tar), &tag)
	require.NoError(t, err, "the tar holds the tag")
	id, err := img.ConfigName()
	require.NoError(t, err)
	require.Equal(t, built[0].ImageID, id.String())

	out, err := exec.CommandContext(context.Background(), filepath.Join(o.Dir, ".bin", "linux-amd64", "osm-crds")).CombinedOutput()
	require.NoError(t, err)
	require.Equal(t, "v9 abc 2026-01-02T03:04:05Z", string(out))
	libraries, err := sharedLibraries(filepath.Join(o.Dir, ".bin", "linux-amd64", "osm-crds"), libraryDirs)
	require.NoError(t, err)
	require.Empty(t, libraries, "an empty base holds no libraries")
}

func TestBuildKeepsWhatIsStillRight(t *testing.T) {
	o := options(t, checkout(t), "osm-crds", "bookstore")
	tar := filepath.Join(o.Dir, "bookstore.tar")
	build := func() (crds, bookstore bool) {
		t.Helper()
		built, err := Build(context.Background(), o)
		require.NoError(t, err)
		data, err := os.ReadFile(filepath.Join(o.Dir, "bookstore.json"))
		require.NoError(t, err)
		var record Built
		require.NoError(t, json.Unmarshal(data, &record))
		record.Kept = built[1].Kept
		require.Equal(t, built[1], record)
		return built[0].Kept, built[1].Kept
	}
	steps := []struct {
		what            string
		change          func()
		crds, bookstore bool
	}{
		{"the first time", func() {}, false, false},
		{"again", func() {}, true, true},
		{"after a commit", func() { o.Module.Commit = "def" }, false, true},
		{"after another tag", func() { o.Tag = "v10" }, false, false},
		{"after the tar was cut short", func() { require.NoError(t, os.Truncate(tar, 100)) }, true, false},
		{"after the tar was removed", func() { require.NoError(t, os.Remove(tar)) }, true, false},
		{"after a change of the program", func() {
			file := filepath.Join(o.Module.Root, "demo/cmd/bookstore/main.go")
			require.NoError(t, os.WriteFile(file, []byte("package main\n\nfunc main() { print(\"more books\") }\n"), 0o600))
		}, true, false},
	}
	for _, step := range steps {
		step.change()
		crds, bookstore := build()
		require.Equal(t, step.crds, crds, "osm-crds %s", step.what)
		require.Equal(t, step.bookstore, bookstore, "bookstore %s", step.what)
	}
}

func TestBuildErrors(t *testing.T) {
	m := checkout(t)
	for name, tt := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"a program that is not there": {
			func(o *Options) { o.Specs, _ = Select([]string{"init", "osm-crds"}) },
			"image init: its program ./cmd/osm-init does not exist in " + m.Root + "; write it, or name only the images you want",
		},
		"a machine nobody has": {func(o *Options) { o.Arch = "vax" }, `there are no images for architecture "vax": choose one of [amd64 arm64]`},
		"Envoy elsewhere": {
			func(o *Options) { o.Specs, _ = Select([]string{Envoy}); o.Arch = "arm64" },
			"image envoy-distroless: the pinned Envoy wheel is for amd64, not arm64",
		},
		"a bad tag": {func(o *Options) { o.Tag = "no tag" }, `image osm-crds: reference "openservicemesh/osm-crds:no tag"`},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t, m, "osm-crds")
			tt.change(&o)
			_, err := Build(context.Background(), o)
			require.ErrorContains(t, err, tt.want)
		})
	}
	_, err := FindModule(context.Background(), t.TempDir(), "v1")
	require.ErrorContains(t, err, "no go.mod of "+modulePath)
}

func TestCompileShowsWhatTheCompilerSaid(t *testing.T) {
	m := checkout(t)
	require.NoError(t, os.WriteFile(filepath.Join(m.Root, "cmd/osm-crds/main.go"), []byte("package main\n\nfunc main() { undefinedName() }\n"), 0o600))
	_, err := Build(context.Background(), options(t, m, "osm-crds"))
	require.ErrorContains(t, err, "compiling ./cmd/osm-crds for amd64")
	require.ErrorContains(t, err, "undefined: undefinedName")
}

func TestPush(t *testing.T) {
	srv := httptest.NewServer(registry.New())
	defer srv.Close()
	o := options(t, checkout(t), "osm-crds", "bookstore")
	o.Registry = strings.TrimPrefix(srv.URL, "http://") + "/mirror"

	pushed, err := Push(context.Background(), o, []string{"amd64"}, true)
	require.NoError(t, err)
	require.Len(t, pushed, 2)
	require.Equal(t, o.Registry+"/osm-crds:v9", pushed[0].Reference)
	tag, err := name.NewTag(pushed[0].Reference, name.Insecure)
	require.NoError(t, err)
	img, err := remote.Image(tag)
	require.NoError(t, err)
	digest, err := img.Digest()
	require.NoError(t, err)
	require.Equal(t, pushed[0].Digest, digest.String())
	built, err := Build(context.Background(), o)
	require.NoError(t, err)
	require.Equal(t, built[0].Digest, digest.String(), "tar and registry hold the same image")
	layers, err := img.Layers()
	require.NoError(t, err)
	for _, l := range layers {
		r, err := l.Uncompressed()
		require.NoError(t, err, "every layer arrived")
		require.NoError(t, r.Close())
	}
}

func TestPushForSeveralMachines(t *testing.T) {
	srv := httptest.NewServer(registry.New())
	defer srv.Close()
	o := options(t, checkout(t), "bookstore")
	o.Registry = strings.TrimPrefix(srv.URL, "http://")
	pushed, err := Push(context.Background(), o, []string{"amd64", "arm64"}, true)
	require.NoError(t, err)
	tag, err := name.NewTag(pushed[0].Reference, name.Insecure)
	require.NoError(t, err)
	index, err := remote.Index(tag)
	require.NoError(t, err)
	digest, err := index.Digest()
	require.NoError(t, err)
	require.Equal(t, pushed[0].Digest, digest.String())
	manifest, err := index.IndexManifest()
	require.NoError(t, err)
	var platforms []string
	for _, m := range manifest.Manifests {
		platforms = append(platforms, m.Platform.String())
		img, err := index.Image(m.Digest)
		require.NoError(t, err)
		file, err := img.ConfigFile()
		require.NoError(t, err)
		require.Equal(t, m.Platform.String(), file.Platform().String())
	}
	require.Equal(t, []string{"linux/amd64", "linux/arm64"}, platforms)
}

func TestPushNamesTheImageThatFailed(t *testing.T) {
	srv := httptest.NewServer(registry.New())
	srv.Close()
	o := options(t, checkout(t), "bookstore")
	o.Registry = strings.TrimPrefix(srv.URL, "http://")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	_, err := Push(ctx, o, []string{"amd64"}, true)
	require.ErrorContains(t, err, "pushing image "+o.Registry+"/bookstore:v9: ")
}
