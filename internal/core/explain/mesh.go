package explain

import (
	"net/netip"
	"slices"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/plan"
	"openservicemesh.io/osm/internal/core/sim"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// View is one generation of what proxies are told.
type View interface {
	Planner() *plan.Planner
	// Place returns the key of a pod's proxy; false when the snapshot does not know the pod.
	Place(meshid.Pod) (plan.Key, bool)
	Config(plan.Key) *envoy.Resources
	Endpoints(cluster string) *envoy.Resource
}

// Mesh is a view to ask questions about.
type Mesh struct {
	view    View
	snap    *snapshot.Snapshot
	planner *plan.Planner
}

// New prepares a view for questions.
func New(v View) *Mesh {
	return &Mesh{view: v, snap: v.Planner().Snapshot(), planner: v.Planner()}
}

// Sidecar returns the configuration of a pod's sidecar; nil when the pod has none.
func (m *Mesh) Sidecar(pod *snapshot.Pod) *sim.Proxy {
	if pod == nil || pod.ProxyUUID == "" {
		return nil
	}
	key, _ := m.view.Place(pod.ID)
	return &sim.Proxy{
		Principal:  pod.Identity.Principal(m.snap.Mesh.TrustDomain),
		CertSecret: names.SecretServiceCert(pod.Identity),
		Resources:  m.view.Config(key), Endpoints: m.view.Endpoints,
	}
}

// At returns the sidecar that takes connections to an address; nil when there is none. It is a sim.Mesh.
func (m *Mesh) At(to netip.AddrPort) *sim.Proxy { return m.Sidecar(m.podAt(to.Addr())) }

func (m *Mesh) podAt(a netip.Addr) *snapshot.Pod {
	for _, pod := range m.snap.Pods {
		if slices.Contains(pod.IPs, a) {
			return pod
		}
	}
	return nil
}

// pod finds a pod by its namespace and name.
func (m *Mesh) pod(id meshid.Pod) *snapshot.Pod {
	for _, pod := range m.snap.Pods {
		if pod.ID.Namespace == id.Namespace && pod.ID.Name == id.Name {
			return pod
		}
	}
	return nil
}
