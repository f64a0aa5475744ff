package state

import (
	"slices"

	"openservicemesh.io/osm/internal/core/policy"
)

// Unsynced lists the resources of which no complete list has arrived yet, sorted.
func (s *State) Unsynced() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	add := func(name string, synced bool) {
		if !synced {
			out = append(out, name)
		}
	}
	add("namespaces", s.namespaces.synced)
	add("services", s.services.synced)
	add("endpointslices", s.slices.synced)
	add("pods", s.pods.synced)
	add("meshconfigs", s.meshConfig.synced)
	for _, k := range policy.Kinds() {
		add(k.Resource.Resource, s.policies[k.Name].synced)
	}
	slices.Sort(out)
	return out
}

// HasMeshConfig reports whether the MeshConfig has been seen.
func (s *State) HasMeshConfig() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last.config != nil || len(s.meshConfig.rows) > 0
}

// MonitoredNamespaces lists the namespaces that belong to the mesh, sorted.
func (s *State) MonitoredNamespaces() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]string, 0, len(s.namespaces.rows))
	for k := range s.namespaces.rows {
		out = append(out, k.Name)
	}
	slices.Sort(out)
	return out
}
