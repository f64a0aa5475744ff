package state

import (
	"cmp"
	"sync"

	configv1alpha2 "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/policy"
	"openservicemesh.io/osm/internal/core/snapshot"
	"openservicemesh.io/osm/internal/kube/convert"
)

// Options name the mesh a State is for.
type Options struct {
	MeshName     string
	OSMNamespace string
	// ConfigName is the name of the MeshConfig that counts; "" means names.MeshConfig.
	ConfigName  string
	TrustDomain meshid.TrustDomain
}

// namespaceRow is all that is kept of a monitored namespace.
type namespaceRow struct{}

// policyRow is a policy object, or why it could not be read.
type policyRow struct {
	object  snapshot.Object
	finding *snapshot.Finding
}

// configRow is the MeshConfig, or why it could not be read.
type configRow struct {
	config  *configv1alpha2.MeshConfig
	finding *snapshot.Finding
}

// State is the converted cluster. Its methods may be called from any goroutine; Build from one only.
type State struct {
	opts Options
	wake func()

	mu         sync.Mutex
	namespaces *table[namespaceRow]
	meshConfig *table[configRow]
	services   *table[convert.Service]
	slices     *table[convert.Slice]
	pods       *table[*convert.Pod]
	policies   map[string]*table[policyRow]

	// byService indexes the slices of each Service.
	byService map[meshid.Service]map[Key]convert.Slice
	dirty     dirt
	last      build
}

// dirt is what has changed since the last build.
type dirt struct {
	any      bool
	all      bool // the set of monitored namespaces changed
	pods     bool
	policies bool
	services map[meshid.Service]bool
	// podsIn are namespaces whose pods changed: named target ports may mean other numbers there.
	podsIn map[string]bool
}

// build is what the last build made, for sharing.
type build struct {
	done      bool
	config    *configv1alpha2.MeshConfig
	mesh      snapshot.Mesh
	settings  convert.Settings
	services  map[meshid.Service]*snapshot.Service
	endpoints snapshot.Endpoints
	policies  snapshot.Policies
	// parts are all but the endpoints.
	parts snapshot.Parts
	// ingressSources are services whose addresses policies take for configuration.
	ingressSources map[meshid.Service]bool
	// findings are about policies, configFindings about the MeshConfig, all both together.
	findings, configFindings, all []snapshot.Finding
	// generation is the MeshConfig's metadata.generation.
	generation int64
}

// New returns an empty State. wake is called, with the State locked, whenever something changes that a snapshot shows
// and when the first complete list of a resource arrives; it must not block.
func New(opts Options, wake func()) *State {
	opts.ConfigName = cmp.Or(opts.ConfigName, names.MeshConfig)
	s := &State{
		opts: opts, wake: wake,
		policies:  map[string]*table[policyRow]{},
		byService: map[meshid.Service]map[Key]convert.Slice{},
		last:      build{services: map[meshid.Service]*snapshot.Service{}, endpoints: snapshot.Endpoints{}},
	}
	s.dirty = newDirt()
	s.namespaces = newTable(s, func(Key, *namespaceRow, *namespaceRow) { s.dirty.all = true; s.touch() })
	s.meshConfig = newTable(s, s.meshConfigChanged)
	s.services = newTable(s, s.serviceChanged)
	s.slices = newTable(s, s.sliceChanged)
	s.pods = newTable(s, s.podChanged)
	for _, k := range policy.Kinds() {
		s.policies[k.Name] = newTable(s, s.policyChanged)
	}
	return s
}

func newDirt() dirt {
	return dirt{services: map[meshid.Service]bool{}, podsIn: map[string]bool{}}
}

func (s *State) touch() {
	s.dirty.any = true
	s.wake()
}

func (s *State) monitored(namespace string) bool {
	_, ok := s.namespaces.rows[Key{Name: namespace}]
	return ok
}

// visible reports whether policies of a namespace count: the control plane's own namespace holds the objects that
// configure the mesh as a whole.
func (s *State) visible(namespace string) bool {
	return namespace == s.opts.OSMNamespace || s.monitored(namespace)
}

func (s *State) meshConfigChanged(_ Key, _, after *configRow) {
	// A deleted MeshConfig changes nothing until there is a new one: falling back to zero values would cut every
	// connection that permissive mode allows.
	if after != nil {
		s.touch()
	}
}

func (s *State) serviceChanged(k Key, _, _ *convert.Service) {
	if s.monitored(k.Namespace) {
		s.dirty.services[meshid.Service(k)] = true
		s.touch()
	}
}

func (s *State) sliceChanged(k Key, before, after *convert.Slice) {
	if before != nil {
		delete(s.byService[before.Service], k)
		s.touchEndpoints(before.Service)
		if len(s.byService[before.Service]) == 0 {
			delete(s.byService, before.Service)
		}
	}
	if after != nil {
		if s.byService[after.Service] == nil {
			s.byService[after.Service] = map[Key]convert.Slice{}
		}
		s.byService[after.Service][k] = *after
		s.touchEndpoints(after.Service)
	}
}

func (s *State) touchEndpoints(id meshid.Service) {
	if s.monitored(id.Namespace) {
		s.dirty.services[id] = true
		s.touch()
	}
}

func (s *State) podChanged(k Key, _, _ **convert.Pod) {
	if s.monitored(k.Namespace) {
		s.dirty.pods = true
		s.dirty.podsIn[k.Namespace] = true
		s.touch()
	}
}

func (s *State) policyChanged(k Key, _, _ *policyRow) {
	if s.visible(k.Namespace) {
		s.dirty.policies = true
		s.touch()
	}
}
