package pipeline

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// nobodys are resources that no user's object shapes.
var nobodys = []string{names.ListenerMetrics, names.ClusterMetrics, names.ClusterOwnMetrics, names.ClusterPassthrough, names.ClusterRefused, names.ClusterEnd, names.SecretRootOutbound}

// TestEveryResourceHasAnAuthor: should a proxy refuse it, there is somebody to tell: a policy, a Service, or whoever writes
// the MeshConfig.
func TestEveryResourceHasAnAuthor(t *testing.T) {
	n, policies := 0, map[string]bool{}
	for _, name := range caseNames(t) {
		w := newWorld(t, readCase(t, name))
		for _, p := range w.mesh.Proxies() {
			for _, typ := range []envoy.TypeURL{envoy.Listener, envoy.Route, envoy.Cluster, envoy.Secret} {
				for _, r := range w.view.Config(p.Key).List(typ) {
					if slices.Contains(nobodys, r.Name) || r.Name == names.SecretRootInbound(p.Identity()) {
						continue
					}
					n++
					_, authors := w.view.Shaped(p.Key, typ, r.Name, r.Version, "")
					at := name + " " + p.Identity().String() + " " + r.Name
					onlyPassthrough := r.Name == names.ListenerOutbound && w.snap.Mesh.Egress
					assert.True(t, len(authors) > 0 || onlyPassthrough, at)
					for _, a := range authors {
						policies[a.Kind] = true
						require.True(t, exists(w, a), "%s: %s does not exist", at, a)
					}
					_, none := w.view.Shaped(p.Key, typ, r.Name, "another version", "")
					require.Nil(t, none, "what is not told any more is nobody's")
				}
			}
		}
	}
	require.Greater(t, n, 1000)
	require.Subset(t, policies, map[string]bool{
		"Service": true, "MeshConfig": true, "TrafficTarget": true, "HTTPRouteGroup": true, "TCPRoute": true, "TrafficSplit": true,
		"Retry": true, "UpstreamTrafficSetting": true, "Egress": true, "IngressBackend": true,
	})
}

// exists reports whether the snapshot has an object, or has been told of it by an object that names it in vain.
func exists(w *world, ref snapshot.ObjectRef) bool {
	switch ref.Kind {
	case snapshot.KindMeshConfig:
		return true
	case snapshot.KindService:
		return slices.ContainsFunc(w.snap.Services, func(s *snapshot.Service) bool {
			return s.ID.Namespace == ref.Namespace && s.ID.Name == ref.Name
		})
	case "HTTPRouteGroup", "TCPRoute", "UpstreamTrafficSetting": // named by others
		return true
	}
	return slices.ContainsFunc(w.snap.Policies[ref.Kind], func(o snapshot.Object) bool {
		return o.GetNamespace() == ref.Namespace && o.GetName() == ref.Name
	})
}
