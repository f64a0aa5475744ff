package ir

import "openservicemesh.io/osm/internal/core/meshid"

// HTTPS is TLS that is passed on as it is, judged by its server name alone. It is spoken with the outside only: no service
// of the mesh has it.
const HTTPS meshid.Protocol = "https"

// Side says where the other end of a chain's connections is. The zero value is inside of the mesh.
type Side string

// The sides.
const (
	// Egress: a destination outside of the mesh.
	Egress Side = "egress"
	// Ingress: a client outside of the mesh.
	Ingress Side = "ingress"
)

// The kinds of clusters for what is outside.
const (
	// DNS: the addresses of a host name, asked for again and again.
	DNS ClusterKind = "dns"
	// Nowhere: no address at all; connections are closed.
	Nowhere ClusterKind = "nowhere"
)
