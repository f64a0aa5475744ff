package ir

import "openservicemesh.io/osm/internal/core/meshid"

// About says for what a part of a plan was made, so that a proxy's complaint about it finds its way to the people who wrote
// it. It is no part of the configuration: it is not encoded, and two plans that differ in it alone are the same plan.
type About struct {
	// Service is the service that a part of the mesh is for; of a pod with a name of its own it is names.PodService.
	Service meshid.Service
	// Port is the destination port that a part for what is outside is for.
	Port uint16
	// Mesh is whether the part comes from what MeshConfig says.
	Mesh bool
}
