package imageset

import (
	"fmt"
	"slices"
	"strings"
)

// Users of the images; numeric, so that runAsNonRoot can be checked.
const (
	userNobody = "65532:65532"
	userRoot   = "0:0"
	userEnvoy  = "1500:1500"
)

// Spec is one image.
type Spec struct {
	// Name is the image's name below the registry, and of its tar.
	Name string
	// Package is the program's folder from the module's root; its last
	// element is the binary's name. Empty for Envoy, which is not built here.
	Package string
	// Path is where the binary lies in the image; it is the entry point.
	Path string
	// User is "uid:gid".
	User        string
	Description string
	// Official is the whole reference of an image that others publish; empty for the project's own.
	Official string
	// Module is the folder, from the checkout's root, of the Go module that pins Package; empty for the project's own.
	Module string
	// Tags are the build tags of a program of another module, joined by commas.
	Tags string
	// Machine are programs of this machine to copy together with their shared libraries, by the path they get.
	Machine map[string]string
}

// Envoy is the image assembled for clusters that pull nothing: users' clusters
// run the official image of the same name.
const Envoy = "envoy-distroless"

// All is every image, in the order shown to users. A new program is one more
// line here.
func All() []Spec {
	return []Spec{
		program("osm-controller", "./cmd/osm-controller", "Control plane: policy to Envoy configuration"),
		program("osm-injector", "./cmd/osm-injector", "Mutating webhook: adds the sidecar to pods"),
		program("osm-bootstrap", "./cmd/osm-bootstrap", "Installs the CRDs and the default mesh configuration"),
		{Name: "init", Package: "./cmd/osm-init", Path: "/osm-init", User: userRoot, Description: "Programs the redirection of a pod's traffic to its sidecar"},
		program("osm-healthcheck", "./cmd/osm-healthcheck", "Answers TCP probes of injected pods"),
		program("osm-preinstall", "./cmd/osm-preinstall", "Checks the cluster before an installation"),
		program("osm-crds", "./cmd/osm-crds", "Removes what an installation left in the cluster"),
		program("bookbuyer", "./demo/cmd/bookbuyer", "Demonstration application: buys books"),
		program("bookthief", "./demo/cmd/bookthief", "Demonstration application: no policy should let it in"),
		program("bookstore", "./demo/cmd/bookstore", "Demonstration application: sells books"),
		program("bookwarehouse", "./demo/cmd/bookwarehouse", "Demonstration application: restocks the store"),
		{Name: "osm-meshtest", Package: "./demo/cmd/meshtest", Path: "/osm-meshtest", User: userNobody, Description: "Small network programs for tests"},
		{
			Name: Envoy, Path: "/usr/local/bin/envoy", User: userEnvoy, Description: "Envoy proxy assembled for the local cluster",
			Official: "envoyproxy/" + Envoy + ":v" + EnvoyVersion,
		},
	}
}

func program(name, pkg, description string) Spec {
	return Spec{Name: name, Package: pkg, Path: "/" + name, User: userNobody, Description: description}
}

// Select is the named images in the table's order, peers last, or All when names is empty.
func Select(names []string) ([]Spec, error) {
	if len(names) == 0 {
		return All(), nil
	}
	all := append(All(), Peers()...)
	var known []string
	for _, s := range all {
		known = append(known, s.Name)
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("there is no image %q; the images are %s", name, strings.Join(known, ", "))
		}
	}
	return slices.DeleteFunc(all, func(s Spec) bool { return !slices.Contains(names, s.Name) }), nil
}

// Pushable is All without Envoy, which users take from its own makers.
func Pushable() []string {
	var names []string
	for _, s := range All() {
		if s.Package != "" {
			names = append(names, s.Name)
		}
	}
	return names
}

// Reference is the name under which manifests and the chart ask for the image.
func (s Spec) Reference(registry, tag string) string {
	if s.Official != "" {
		return s.Official
	}
	return strings.TrimRight(registry, "/") + "/" + s.Name + ":" + tag
}
