package render

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/plan"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// Mesh is a snapshot with its policies compiled and the kinds of proxies in it.
type Mesh struct {
	planner *plan.Planner
	proxies []Proxy
}

// Proxy is one kind of proxy: all pods that share a configuration.
type Proxy struct {
	Key plan.Key
	// Pods are the "<namespace>/<name>" of the pods, sorted.
	Pods []string
}

// New compiles a snapshot.
func New(s *snapshot.Snapshot) *Mesh {
	m := &Mesh{planner: plan.New(s)}
	at := map[plan.Key]int{}
	for _, pod := range s.Pods {
		key := m.planner.KeyOf(pod)
		i, ok := at[key]
		if !ok {
			i = len(m.proxies)
			at[key] = i
			m.proxies = append(m.proxies, Proxy{Key: key})
		}
		m.proxies[i].Pods = append(m.proxies[i].Pods, pod.ID.String())
	}
	slices.SortFunc(m.proxies, func(a, b Proxy) int { return a.Key.Compare(b.Key) })
	return m
}

// Proxies lists every kind of proxy, ordered by identity.
func (m *Mesh) Proxies() []Proxy { return m.proxies }

// Findings are the problems of the policies, sorted.
func (m *Mesh) Findings() []snapshot.Finding { return m.planner.Findings() }

// Find returns the kind of proxy that is meant by "<serviceaccount>.<namespace>", or by "<namespace>/<pod>" where pods
// of one service account differ. The error lists what there is.
func (m *Mesh) Find(name string) (Proxy, error) {
	var found []Proxy
	for _, p := range m.proxies {
		if p.Key.Identity.String() == name || slices.Contains(p.Pods, name) {
			found = append(found, p)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return Proxy{}, fmt.Errorf("there is no proxy %q; use <serviceaccount>.<namespace> or <namespace>/<pod>: %s", name, m.available())
	}
	var pods []string
	for _, p := range found {
		pods = append(pods, p.Pods[0])
	}
	return Proxy{}, fmt.Errorf("pods of %s back different services, so their proxies differ; name one of them: %s",
		name, strings.Join(pods, ", "))
}

func (m *Mesh) available() string {
	var names []string
	for _, p := range m.proxies {
		names = append(names, p.Key.Identity.String())
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return cmp.Or(strings.Join(names, ", "), "no pod belongs to the mesh")
}

// Plan is what a proxy must do.
func (m *Mesh) Plan(p Proxy) ir.Proxy { return m.planner.Plan(p.Key) }

// Resources are what the proxy is sent, but for endpoints and certificates.
func (m *Mesh) Resources(p Proxy, roots envoy.Bundle) (*envoy.Resources, error) {
	return envoy.Translate(m.planner.Plan(p.Key), roots)
}

// Principal is the name in the certificate of a proxy.
func (m *Mesh) Principal(p Proxy) string {
	return p.Key.Identity.Principal(m.planner.Snapshot().Mesh.TrustDomain)
}

// Identity is the service account of a proxy.
func (p Proxy) Identity() meshid.Identity { return p.Key.Identity }
