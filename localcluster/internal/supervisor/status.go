package supervisor

import (
	"encoding/json"
	"os"

	"openservicemesh.io/osm/localcluster/internal/cluster"
)

// Status is what the supervisor tells about its components.
type Status struct {
	Components []ComponentStatus `json:"components"`
}

// ComponentStatus is one component's state.
type ComponentStatus struct {
	Name     string `json:"name"`
	Running  bool   `json:"running"`
	Restarts int    `json:"restarts"`
	// LastExit says how it last ended; empty when it never did.
	LastExit string `json:"lastExit,omitempty"`
}

// ReadStatus reads the status file of a cluster.
func ReadStatus(l cluster.Layout) (Status, error) {
	var s Status
	b, err := os.ReadFile(l.StatusPath())
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(b, &s)
}
