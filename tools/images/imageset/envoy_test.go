package imageset

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// sharedCache is the cache of the command, so that a download happens once.
func sharedCache(t *testing.T) string {
	t.Helper()
	dir, err := os.UserCacheDir()
	require.NoError(t, err)
	return filepath.Join(dir, "openservicemesh")
}

// unpack writes the files of an image's layers below dir.
func unpack(t *testing.T, c content, dir string) {
	t.Helper()
	for _, entries := range c.layers {
		var layer bytes.Buffer
		require.NoError(t, writeTar(&layer, entries))
		tr := tar.NewReader(&layer)
		for {
			h, err := tr.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			path := filepath.Join(dir, h.Name)
			if h.Typeflag == tar.TypeDir {
				require.NoError(t, os.MkdirAll(path, 0o755))
				continue
			}
			data, err := io.ReadAll(tr)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, data, os.FileMode(h.Mode)))
		}
	}
}

// The image's own loader, finding libraries in the image's folders alone,
// must be able to start the image's Envoy.
func TestEnvoyImageHoldsAllThatEnvoyNeeds(t *testing.T) {
	specs, err := Select([]string{Envoy})
	require.NoError(t, err)
	c, err := envoyContent(context.Background(), specs[0], "amd64", sharedCache(t))
	require.NoError(t, err)
	root := t.TempDir()
	unpack(t, c, root)
	cmd := exec.CommandContext(context.Background(), filepath.Join(root, "lib64/ld-linux-x86-64.so.2"),
		"--inhibit-cache", "--library-path", filepath.Join(root, "lib/x86_64-linux-gnu"), "--list", filepath.Join(root, specs[0].Path))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.NotContains(t, string(out), "not found")
	require.NotContains(t, string(out), "=> /lib/", "every library comes from the image")
	require.NotContains(t, string(out), "=> /usr/", "every library comes from the image")

	cmd = exec.CommandContext(context.Background(), filepath.Join(root, "lib64/ld-linux-x86-64.so.2"),
		"--inhibit-cache", "--library-path", filepath.Join(root, "lib/x86_64-linux-gnu"), filepath.Join(root, specs[0].Path), "--version")
	out, err = cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "/"+EnvoyVersion+"/")
}

// writeZip makes a zip file with one member.
func writeZip(t *testing.T, member, content string) string {
	t.Helper()
	archive := filepath.Join(t.TempDir(), "a.zip")
	file, err := os.Create(archive)
	require.NoError(t, err)
	z := zip.NewWriter(file)
	w, err := z.Create(member)
	require.NoError(t, err)
	_, err = io.WriteString(w, content)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	require.NoError(t, file.Close())
	return archive
}

func TestExtractReplacesABrokenBinary(t *testing.T) {
	archive := writeZip(t, "bin/program", "all of the content")
	path := filepath.Join(t.TempDir(), "new", "program")
	stat := func() os.FileInfo {
		info, err := os.Stat(path)
		require.NoError(t, err)
		return info
	}
	require.NoError(t, extract(archive, "bin/program", path))
	whole := stat()
	require.Equal(t, os.FileMode(0o755), whole.Mode().Perm())
	require.NoError(t, extract(archive, "bin/program", path))
	require.True(t, os.SameFile(whole, stat()), "a whole binary stays")

	for what, damage := range map[string]func() error{
		"cut short":      func() error { return os.Truncate(path, 3) },
		"other bytes":    func() error { return os.WriteFile(path, []byte("all of the c0ntent"), 0o600) },
		"not executable": func() error { return os.Chmod(path, 0o644) },
		"gone":           func() error { return os.Remove(path) },
	} {
		require.NoError(t, damage(), what)
		require.NoError(t, extract(archive, "bin/program", path), what)
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, "all of the content", string(data), what)
		require.Equal(t, os.FileMode(0o755), stat().Mode().Perm(), what)
	}
	left, err := filepath.Glob(path + ".part-*")
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestExtractErrors(t *testing.T) {
	archive := writeZip(t, "inside", "content")
	path := filepath.Join(t.TempDir(), "x")
	require.ErrorContains(t, extract(archive, "absent", path), "a.zip holds no absent")
	require.ErrorContains(t, extract(archive+".none", "inside", path), "a.zip.none")
	require.NoError(t, extract(archive, "inside", path))
	require.ErrorContains(t, checkHash(path, envoyWheel().sha256), "want "+envoyWheel().sha256)
}

func TestSharedLibraries(t *testing.T) {
	shell, err := filepath.EvalSymlinks("/bin/sh")
	require.NoError(t, err)
	libraries, err := sharedLibraries(shell, libraryDirs)
	require.NoError(t, err)
	var names []string
	for _, l := range libraries {
		names = append(names, filepath.Base(l))
	}
	require.Contains(t, names, "libc.so.6")
	require.Contains(t, names, "ld-linux-x86-64.so.2")

	_, err = sharedLibraries(shell, []string{t.TempDir()})
	require.ErrorContains(t, err, "shared library libc.so.6 is in none of ")
	_, err = sharedLibraries("/etc/passwd", libraryDirs)
	require.ErrorContains(t, err, "/etc/passwd: ")
}
