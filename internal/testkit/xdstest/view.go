package xdstest

import (
	"maps"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/plan"
)

// View is a fixed view. Its fields must not change once it is in use; make the next one with Next.
type View struct {
	Gen uint64
	// Plan, if not nil, is the view's basis: views that share it differ in endpoints alone.
	Plan    *int
	Pods    map[meshid.Pod]plan.Key
	Configs map[plan.Key]*envoy.Resources
	EDS     map[string]*envoy.Resource
}

// NewView returns an empty first generation.
func NewView() *View {
	return &View{Gen: 1, Pods: map[meshid.Pod]plan.Key{}, Configs: map[plan.Key]*envoy.Resources{}, EDS: map[string]*envoy.Resource{}}
}

// Next copies the view as the next generation, for the caller to change before use.
func (v *View) Next() *View {
	return &View{Gen: v.Gen + 1, Plan: v.Plan, Pods: maps.Clone(v.Pods), Configs: maps.Clone(v.Configs), EDS: maps.Clone(v.EDS)}
}

// Add places a pod of an identity and sets the configuration of all pods of that identity.
func (v *View) Add(pod meshid.Pod, id meshid.Identity, list ...*envoy.Resource) *View {
	key := plan.NewKey(id, nil, false, false)
	v.Pods[pod] = key
	v.Configs[key] = envoy.NewResources(list)
	return v
}

// Generation implements xds.View.
func (v *View) Generation() uint64 { return v.Gen }

// Basis implements xds.View.
func (v *View) Basis() any {
	if v.Plan == nil {
		return nil
	}
	return v.Plan
}

// Place implements xds.View.
func (v *View) Place(pod meshid.Pod) (plan.Key, bool) {
	k, ok := v.Pods[pod]
	return k, ok
}

// Config implements xds.View.
func (v *View) Config(key plan.Key) *envoy.Resources { return v.Configs[key] }

// Endpoints implements xds.View.
func (v *View) Endpoints(cluster string) *envoy.Resource { return v.EDS[cluster] }
