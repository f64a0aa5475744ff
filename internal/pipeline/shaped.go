package pipeline

import (
	"strings"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/plan"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// resources are the plan's words for resource types. Endpoints come from what their cluster is for.
var resources = map[envoy.TypeURL]plan.Resource{
	envoy.Listener: plan.ResourceListener, envoy.Route: plan.ResourceRouteConfig, envoy.Cluster: plan.ResourceCluster,
	envoy.Endpoint: plan.ResourceCluster, envoy.Secret: plan.ResourceTrust,
}

// Shaped lists the objects that shaped a resource which a proxy refuses, and says what kind of resource it is. It is nil
// when the version refused is not what the proxy is told now. words are the proxy's.
func (v *View) Shaped(key plan.Key, t envoy.TypeURL, name, version, words string) (plan.Resource, []snapshot.ObjectRef) {
	var now *envoy.Resource
	if t == envoy.Endpoint {
		now = v.Endpoints(name)
		version, _, _ = strings.Cut(version, ".") // behind it is the version of the cluster
	} else if set := v.Config(key); set != nil {
		now = set.Get(t, name)
	}
	kind, known := resources[t]
	if !known || now == nil || now.Version != version {
		return kind, nil
	}
	return kind, v.planner.Shaped(key, kind, name, words)
}
