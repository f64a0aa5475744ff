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

// MonitoredNamespaces returns how many namespaces belong to the mesh.
func (s *State) MonitoredNamespaces() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.namespaces.rows)
}
