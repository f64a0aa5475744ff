package imageset

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/require"
)

func TestWriteTarIsSortedAndTimeless(t *testing.T) {
	source := filepath.Join(t.TempDir(), "program")
	require.NoError(t, os.WriteFile(source, []byte("binary"), 0o600))
	entries := []entry{
		{path: "/usr/local/bin/program", mode: 0o755, source: source},
		{path: "/etc/group", mode: 0o644, data: []byte("root")},
		{path: "/tmp", mode: 0o1777, dir: true},
	}
	var first, second bytes.Buffer
	require.NoError(t, writeTar(&first, entries))
	entries[0], entries[2] = entries[2], entries[0]
	require.NoError(t, writeTar(&second, entries))
	require.Equal(t, first.Bytes(), second.Bytes(), "the order of the entries does not matter")

	type line struct {
		Name, Content string
		Mode          int64
	}
	var got []line
	r := tar.NewReader(&first)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		require.True(t, h.ModTime.Equal(epoch), h.Name)
		require.Zero(t, h.Uid+h.Gid, h.Name)
		content, err := io.ReadAll(r)
		require.NoError(t, err)
		got = append(got, line{h.Name, string(content), h.Mode})
	}
	require.Empty(t, cmp.Diff([]line{
		{"etc/", "", 0o755},
		{"etc/group", "root", 0o644},
		{"tmp/", "", 0o1777},
		{"usr/", "", 0o755},
		{"usr/local/", "", 0o755},
		{"usr/local/bin/", "", 0o755},
		{"usr/local/bin/program", "binary", 0o755},
	}, got))
}

func TestWriteTarNamesTheFileThatIsMissing(t *testing.T) {
	err := writeTar(io.Discard, []entry{{path: "/a", source: filepath.Join(t.TempDir(), "gone")}})
	require.ErrorContains(t, err, "adding /a: open ")
}

func testContent(t *testing.T, binary string) content {
	t.Helper()
	file := filepath.Join(t.TempDir(), "binary")
	require.NoError(t, os.WriteFile(file, []byte(binary), 0o700))
	return programContent(Spec{Name: "demo", Package: "./demo/cmd/demo", Path: "/demo", User: userNobody, Description: "A demo"}, "amd64", "v1", file)
}

func TestImageConfiguration(t *testing.T) {
	img, err := testContent(t, "one").image()
	require.NoError(t, err)
	file, err := img.ConfigFile()
	require.NoError(t, err)
	require.Equal(t, "linux/amd64", file.Platform().String())
	require.True(t, file.Created.Equal(epoch))
	require.Empty(t, cmp.Diff(v1.Config{
		Entrypoint: []string{"/demo"}, User: "65532:65532", WorkingDir: "/",
		Env: []string{"PATH=/usr/local/bin:/usr/bin:/bin:/"},
		Labels: map[string]string{
			"org.opencontainers.image.title": "demo", "org.opencontainers.image.description": "A demo",
			"org.opencontainers.image.version": "v1", "org.opencontainers.image.licenses": "Apache-2.0",
		},
	}, file.Config))
	layers, err := img.Layers()
	require.NoError(t, err)
	require.Len(t, layers, 2)
}

func TestImagesShareTheirBase(t *testing.T) {
	digests := map[string]bool{}
	for _, binary := range []string{"one", "two"} {
		img, err := testContent(t, binary).image()
		require.NoError(t, err)
		layers, err := img.Layers()
		require.NoError(t, err)
		for _, l := range layers {
			d, err := l.Digest()
			require.NoError(t, err)
			digests[d.String()] = true
		}
	}
	require.Len(t, digests, 3)
}

// The key decides whether a tar is rebuilt, so it must change with whatever
// changes the image, and with nothing else.
func TestKeyFollowsTheImage(t *testing.T) {
	changes := map[string]struct {
		change func(*content)
		same   bool
	}{
		"nothing":         {func(*content) {}, true},
		"another folder":  {func(c *content) { c.layers = testContent(t, "one").layers }, true},
		"another binary":  {func(c *content) { c.layers = testContent(t, "two").layers }, false},
		"another mode":    {func(c *content) { c.layers[1][0].mode = 0o700 }, false},
		"another user":    {func(c *content) { c.spec.User = userRoot }, false},
		"another path":    {func(c *content) { c.spec.Path = "/other" }, false},
		"another label":   {func(c *content) { c.spec.Description = "Other" }, false},
		"another version": {func(c *content) { c.version = "v2" }, false},
		"another machine": {func(c *content) { c.arch = "arm64" }, false},
		"one more file": {func(c *content) {
			c.layers[0] = append(c.layers[0], entry{path: "/etc/x", data: []byte("x")})
		}, false},
	}
	for name, tt := range changes {
		t.Run(name, func(t *testing.T) {
			before, after := testContent(t, "one"), testContent(t, "one")
			tt.change(&after)
			keyBefore, err := before.key()
			require.NoError(t, err)
			keyAfter, err := after.key()
			require.NoError(t, err)
			require.Equal(t, tt.same, keyBefore == keyAfter, "key")
			imgBefore, err := before.image()
			require.NoError(t, err)
			imgAfter, err := after.image()
			require.NoError(t, err)
			digestBefore, err := imgBefore.Digest()
			require.NoError(t, err)
			digestAfter, err := imgAfter.Digest()
			require.NoError(t, err)
			require.Equal(t, tt.same, digestBefore == digestAfter, "digest")
		})
	}
}
