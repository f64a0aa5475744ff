package manifests

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	configv1alpha1 "openservicemesh.io/osm/api/config/v1alpha1"
	configv1alpha2 "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/policy"
	"openservicemesh.io/osm/internal/core/snapshot"
	"openservicemesh.io/osm/internal/kube/convert"
	"openservicemesh.io/osm/internal/kube/state"
)

// Options say which mesh is meant. Zero values mean what a default installation has.
type Options struct {
	// MeshName is the value of openservicemesh.io/monitored-by that counts; "" counts every value.
	MeshName string
	// OSMNamespace is where MeshConfig counts; "" takes MeshConfig from wherever it is.
	OSMNamespace string
	TrustDomain  meshid.TrustDomain
	// Live is whether the objects are all that a cluster holds, so that nothing is to be added to them but the MeshConfig that
	// counts where there is none.
	Live bool
	// Inject has pods of the mesh have a sidecar as if the injector had seen them, unless they rule it out.
	Inject bool
}

// Result is what the manifests amount to.
type Result struct {
	Snapshot *snapshot.Snapshot
	// Findings are about objects that could not be used as they are written, not about policies' meaning.
	Findings []snapshot.Finding
	// Skipped are kinds that were read over because the mesh has no use for them, sorted.
	Skipped []string
}

// Load reads files and directories; "-" reads stdin. Without a MeshConfig among them, that of a default installation
// is used. Namespaces without a manifest of their own belong to the mesh; those with one belong to it when the manifest
// has the label, or when no manifest has.
func Load(paths []string, stdin io.Reader, opts Options) (Result, error) {
	r, err := newReader()
	if err != nil {
		return Result{}, err
	}
	for _, p := range paths {
		if p == "-" {
			err = r.stream("stdin", stdin)
		} else {
			err = r.path(p)
		}
		if err != nil {
			return Result{}, err
		}
	}
	if len(r.objects) == 0 {
		return Result{}, fmt.Errorf("no objects of Kubernetes or the mesh in %q", paths)
	}
	return r.result(opts)
}

// Read is Load for one stream of documents; name is what errors call it.
func Read(name string, in io.Reader, opts Options) (Result, error) {
	r, err := newReader()
	if err != nil {
		return Result{}, err
	}
	if err := r.stream(name, in); err != nil {
		return Result{}, err
	}
	return r.result(opts)
}

func (r *reader) result(opts Options) (Result, error) {
	c := newCluster(r.objects)
	anyMesh := opts.MeshName == ""
	if anyMesh {
		opts.MeshName = names.DefaultMeshName
	}
	if opts.TrustDomain == "" {
		opts.TrustDomain = names.DefaultTrustDomain
	}
	if opts.OSMNamespace == "" {
		opts.OSMNamespace = c.meshConfigNamespace()
	}
	c.complete(opts, anyMesh)
	s := state.New(state.Options{MeshName: opts.MeshName, OSMNamespace: opts.OSMNamespace, TrustDomain: opts.TrustDomain}, func() {})
	for _, o := range c.objects {
		sink := sinkFor(s, o)
		if sink == nil {
			continue
		}
		if err := sink.Add(o); err != nil {
			return Result{}, err
		}
	}
	built, _ := s.Build()
	built.Parts.Generation = 1
	return Result{
		Snapshot: snapshot.New(built.Parts), Findings: built.Findings,
		Skipped: slices.Sorted(maps.Keys(r.skipped)),
	}, nil
}

// sinkFor returns where an object goes, or nil when no snapshot shows it.
func sinkFor(s *state.State, o runtime.Object) *state.Sink {
	switch o.(type) {
	case *corev1.Namespace:
		return s.Namespaces()
	case *corev1.Service:
		return s.Services()
	case *corev1.Pod:
		return s.Pods()
	case *discoveryv1.EndpointSlice:
		return s.EndpointSlices()
	case *configv1alpha2.MeshConfig, *configv1alpha1.MeshConfig:
		return s.MeshConfig()
	}
	for _, k := range policy.Kinds() {
		if k.Name == o.GetObjectKind().GroupVersionKind().Kind {
			return s.Policies(k)
		}
	}
	return nil
}

// complete adds what a cluster or an installation would have added.
func (c *cluster) complete(opts Options, anyMesh bool) {
	if !opts.Live {
		c.defaultNamespaces()
		c.addPodsOfWorkloads()
		c.assignAddresses()
		c.addEndpoints()
		c.markNamespaces(opts, anyMesh)
	}
	if opts.Inject {
		c.inject()
	}
	if !c.hasMeshConfig(opts.OSMNamespace) {
		config := convert.DefaultMeshConfig()
		config.Namespace, config.Name = opts.OSMNamespace, names.MeshConfig
		c.objects = append(c.objects, config)
	}
}

func (c *cluster) meshConfigNamespace() string {
	for _, o := range c.objects {
		if m, err := meta.Accessor(o); err == nil && isMeshConfig(o) && m.GetNamespace() != "" {
			return m.GetNamespace()
		}
	}
	return names.DefaultNamespace
}

func (c *cluster) hasMeshConfig(namespace string) bool {
	return slices.ContainsFunc(c.objects, func(o runtime.Object) bool {
		m, err := meta.Accessor(o)
		return err == nil && isMeshConfig(o) && m.GetNamespace() == namespace
	})
}

func isMeshConfig(o runtime.Object) bool {
	m, err := meta.Accessor(o)
	return err == nil && o.GetObjectKind().GroupVersionKind().Kind == configv1alpha2.KindMeshConfig && m.GetName() == names.MeshConfig
}
