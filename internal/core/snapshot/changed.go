package snapshot

import "openservicemesh.io/osm/internal/core/meshid"

// Changed says in which lanes a snapshot differs from the one before it.
type Changed struct {
	// Config is true when anything but the ready addresses differs, so plans have to be made again. The addresses of
	// a headless Service, of one without a selector, and of one that an IngressBackend has for a source count as
	// configuration: chains and identities depend on them.
	Config bool
	// Endpoints are the service ports whose ready addresses differ, sorted; removed ports are among them.
	Endpoints []meshid.ServicePort
}

// IsZero reports whether nothing differs.
func (c Changed) IsZero() bool { return !c.Config && len(c.Endpoints) == 0 }
