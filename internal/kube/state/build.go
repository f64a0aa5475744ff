package state

import (
	"maps"
	"reflect"
	"slices"

	configv1alpha2 "openservicemesh.io/osm/api/config/v1alpha2"
	policyv1 "openservicemesh.io/osm/api/policy/v1alpha1"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/policy/ingressbackend"
	"openservicemesh.io/osm/internal/core/policy/meshconfig"
	"openservicemesh.io/osm/internal/core/snapshot"
	"openservicemesh.io/osm/internal/kube/convert"
)

// Result is one build.
type Result struct {
	// Parts has no generation yet. When nothing but endpoints changed, all else is shared with the result before.
	Parts    snapshot.Parts
	Changed  snapshot.Changed
	Settings convert.Settings
	// Findings are about objects that could not be read and settings without effect, sorted.
	Findings []snapshot.Finding
	// ConfigGeneration is the metadata.generation of the MeshConfig.
	ConfigGeneration int64
}

// Build makes the parts of the next snapshot; false means that nothing changed since the last call, or that there is no
// MeshConfig yet. The first build reports everything as changed.
func (s *State) Build() (Result, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.dirty.any || !s.loadMeshConfig() {
		return Result{}, false
	}
	d := s.dirty
	s.dirty = newDirt()

	changed := snapshot.Changed{Config: !s.last.done || d.all || d.pods}
	settings, findings, generation := s.last.settings, s.last.all, s.last.generation
	if mesh := convert.MeshOf(s.last.config, s.opts.TrustDomain); !s.last.done || !reflect.DeepEqual(mesh, s.last.mesh) {
		s.last.mesh = mesh
		changed.Config = true
	}
	s.last.settings = convert.SettingsOf(s.last.config)
	if s.resolveServices(d, &changed) {
		changed.Config = true
	}
	if d.policies || d.all || s.last.policies == nil {
		s.last.policies, s.last.findings = s.collectPolicies()
		s.last.ingressSources = ingressbackend.SourceServices(snapshot.List[*policyv1.IngressBackend](s.last.policies, ingressbackend.Kind))
		changed.Config = true
	}
	s.last.done = true
	s.last.all, s.last.generation = s.findings(), s.last.config.Generation
	if changed.IsZero() && settings == s.last.settings && slices.Equal(findings, s.last.all) && generation == s.last.generation {
		return Result{}, false
	}
	slices.SortFunc(changed.Endpoints, meshid.ServicePort.Compare)
	if changed.Config {
		s.last.parts = snapshot.Parts{Mesh: s.last.mesh, Services: s.sortedServices(), Pods: s.monitoredPods(), Policies: s.last.policies}
	}
	parts := s.last.parts
	parts.Endpoints = s.last.endpoints
	return Result{
		Parts:   parts,
		Changed: changed, Settings: s.last.settings, Findings: s.last.all,
		ConfigGeneration: s.last.generation,
	}, true
}

// loadMeshConfig reports whether there is a MeshConfig, now or from before. One that cannot be read leaves the last good
// one in force; without a last good one, zero values are used: nothing is permitted that no policy permits.
func (s *State) loadMeshConfig() bool {
	s.last.configFindings = nil
	for _, row := range s.meshConfig.rows {
		if row.config != nil {
			s.last.config, s.last.configFindings = row.config, slices.Concat(meshconfig.Unsupported(row.config), meshconfig.Check(row.config))
			continue
		}
		s.last.configFindings = []snapshot.Finding{*row.finding}
		if s.last.config == nil {
			s.last.config = &configv1alpha2.MeshConfig{}
		}
	}
	return s.last.config != nil
}

// findings lists what could not be read and what has no effect.
func (s *State) findings() []snapshot.Finding {
	return snapshot.SortFindings(slices.Concat(s.last.findings, s.last.configFindings))
}

// resolveServices brings last.services and last.endpoints up to date for what is dirty, and reports whether a plan
// depends on something that changed.
func (s *State) resolveServices(d dirt, changed *snapshot.Changed) bool {
	todo := d.services
	if d.all {
		for k := range s.services.rows {
			todo[meshid.Service(k)] = true
		}
		for id := range s.last.services {
			todo[id] = true
		}
	} else if len(d.podsIn) > 0 {
		for k, svc := range s.services.rows {
			if d.podsIn[k.Namespace] && svc.HasNames() {
				todo[meshid.Service(k)] = true
			}
		}
	}
	if len(todo) == 0 {
		return false
	}
	w := endpointsWriter{old: s.last.endpoints}
	config := false
	for id := range todo {
		config = s.resolveService(id, &w) || config
	}
	if len(w.changed) > 0 {
		s.last.endpoints, changed.Endpoints = w.fresh, w.changed
	}
	return config
}

// resolveService reports whether plans depend on what changed about one Service.
func (s *State) resolveService(id meshid.Service, w *endpointsWriter) bool {
	before := s.last.services[id]
	row, exists := s.services.rows[Key(id)]
	if !exists || !s.monitored(id.Namespace) {
		if before == nil {
			return false
		}
		delete(s.last.services, id)
		for _, p := range before.Ports {
			w.set(meshid.ServicePort{Service: id, Port: p.Port}, nil)
		}
		return true
	}
	after := s.resolveTargets(row)
	moved := false
	for _, p := range after.Ports {
		moved = w.set(meshid.ServicePort{Service: id, Port: p.Port}, s.readyAddresses(id, p.Name)) || moved
	}
	if before != nil && reflect.DeepEqual(before, after) {
		return moved && (after.Headless || after.Selector == nil || s.last.ingressSources[id])
	}
	s.last.services[id] = after
	if before != nil {
		w.dropPorts(before, after)
	}
	return true
}

// resolveTargets fills named target ports: from the endpoints, else from the containers of selected pods, else the
// Service's own port number.
func (s *State) resolveTargets(row convert.Service) *snapshot.Service {
	out := row.Service
	if !row.HasNames() {
		return &out
	}
	out.Ports = slices.Clone(row.Ports)
	for i, name := range row.TargetNames {
		if name == "" {
			continue
		}
		ofSlices, ofPods := s.portsOfSlices(out.ID, out.Ports[i].Name), s.portsOfPods(row, name)
		all := slices.Concat(ofSlices, ofPods)
		if len(all) == 0 {
			out.Ports[i].TargetPort = out.Ports[i].Port
			continue
		}
		out.Ports[i].TargetPort = all[0]
		slices.Sort(all)
		others := slices.DeleteFunc(slices.Compact(all), func(n uint16) bool { return n == out.Ports[i].TargetPort })
		if len(others) > 0 {
			out.Ports[i].OtherTargets = others
		}
	}
	return &out
}

// portsOfSlices lists the numbers that ready endpoints give a Service's port, lowest first: so what is chosen does not
// depend on the order of slices while pods of two versions run.
func (s *State) portsOfSlices(id meshid.Service, name string) []uint16 {
	var out []uint16
	for _, slice := range s.byService[id] {
		for _, p := range slice.Ports {
			if p.Name == name && len(slice.Ready) > 0 {
				out = append(out, p.Port)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// portsOfPods lists the numbers that selected pods give a named port, lowest first.
func (s *State) portsOfPods(row convert.Service, name string) []uint16 {
	var out []uint16
	if len(row.Selector) == 0 {
		return nil
	}
	for k, pod := range s.pods.rows {
		if k.Namespace != row.ID.Namespace || !snapshot.Selects(row.Selector, pod.Labels) {
			continue
		}
		if p := pod.PortNames[name]; p != 0 {
			out = append(out, p)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// readyAddresses merges the slices of a Service for one port, sorted, without duplicates.
func (s *State) readyAddresses(id meshid.Service, portName string) []snapshot.Endpoint {
	var out []snapshot.Endpoint
	for _, slice := range s.byService[id] {
		for _, p := range slice.Ports {
			if p.Name == portName {
				out = appendEndpoints(out, slice.Ready, p.Port)
			}
		}
	}
	slices.SortFunc(out, compareEndpoints)
	return slices.CompactFunc(out, func(a, b snapshot.Endpoint) bool { return a.Addr == b.Addr })
}

func (s *State) sortedServices() []*snapshot.Service {
	return slices.SortedFunc(maps.Values(s.last.services), func(a, b *snapshot.Service) int { return a.ID.Compare(b.ID) })
}

func (s *State) monitoredPods() []*snapshot.Pod {
	var out []*snapshot.Pod
	for k, pod := range s.pods.rows {
		if s.monitored(k.Namespace) {
			out = append(out, &pod.Pod)
		}
	}
	return out
}

func (s *State) collectPolicies() (snapshot.Policies, []snapshot.Finding) {
	byKind := map[string][]snapshot.Object{}
	var findings []snapshot.Finding
	for kind, t := range s.policies {
		for k, row := range t.rows {
			switch {
			case !s.visible(k.Namespace):
			case row.finding != nil:
				findings = append(findings, *row.finding)
			default:
				byKind[kind] = append(byKind[kind], row.object)
			}
		}
	}
	return snapshot.NewPolicies(byKind), snapshot.SortFindings(findings)
}
