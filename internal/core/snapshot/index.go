package snapshot

import (
	"cmp"
	"net/netip"
	"slices"

	"openservicemesh.io/osm/internal/core/meshid"
)

// Parts is what a builder hands to New. Slices need not be sorted; they become the snapshot's own.
type Parts struct {
	Generation uint64
	Mesh       Mesh
	Services   []*Service
	Pods       []*Pod
	Endpoints  Endpoints
	Policies   Policies
}

// New sorts and indexes the parts.
func New(p Parts) *Snapshot {
	s := &Snapshot{
		Generation: p.Generation, Mesh: p.Mesh, Services: p.Services, Pods: p.Pods,
		Endpoints: p.Endpoints, Policies: p.Policies,
		services:  make(map[meshid.Service]*Service, len(p.Services)),
		pods:      make(map[meshid.Pod]*Pod, len(p.Pods)),
		backing:   make(map[meshid.Service][]meshid.Identity, len(p.Services)),
		podToSvcs: make(map[meshid.Pod][]meshid.Service, len(p.Pods)),
	}
	slices.SortFunc(s.Services, func(a, b *Service) int { return a.ID.Compare(b.ID) })
	slices.SortFunc(s.Pods, func(a, b *Pod) int {
		return cmp.Or(cmp.Compare(a.ID.Namespace, b.ID.Namespace), cmp.Compare(a.ID.Name, b.ID.Name), cmp.Compare(a.ID.UID, b.ID.UID))
	})
	for _, svc := range s.Services {
		s.services[svc.ID] = svc
	}
	for _, pod := range s.Pods {
		s.pods[pod.ID] = pod
		s.nodes = append(s.nodes, pod.NodeIPs...)
	}
	slices.SortFunc(s.nodes, netip.Addr.Compare)
	s.nodes = slices.Compact(s.nodes)
	s.indexBacking()
	return s
}

// WithEndpoints is the next generation when nothing but ready addresses differs (Changed.Config is false): all else is shared,
// so that it costs nothing that grows with the cluster.
func (s *Snapshot) WithEndpoints(generation uint64, e Endpoints) *Snapshot {
	next := *s
	next.Generation, next.Endpoints = generation, e
	return &next
}

// indexBacking joins services and pods of one namespace: by selector, and for services without one by the pods their
// endpoints name.
func (s *Snapshot) indexBacking() {
	byNamespace := map[string][]*Pod{}
	for _, pod := range s.Pods {
		byNamespace[pod.ID.Namespace] = append(byNamespace[pod.ID.Namespace], pod)
	}
	for _, svc := range s.Services {
		for _, pod := range s.podsBehind(svc, byNamespace[svc.ID.Namespace]) {
			s.backing[svc.ID] = append(s.backing[svc.ID], pod.Identity)
			s.podToSvcs[pod.ID] = append(s.podToSvcs[pod.ID], svc.ID)
		}
		ids := s.backing[svc.ID]
		slices.SortFunc(ids, meshid.Identity.Compare)
		s.backing[svc.ID] = slices.Compact(ids)
	}
}

func (s *Snapshot) podsBehind(svc *Service, pods []*Pod) []*Pod {
	var out []*Pod
	if len(svc.Selector) > 0 {
		for _, pod := range pods {
			if Selects(svc.Selector, pod.Labels) {
				out = append(out, pod)
			}
		}
		return out
	}
	seen := map[meshid.Pod]bool{}
	for _, port := range svc.Ports {
		for _, ep := range s.Endpoints[meshid.ServicePort{Service: svc.ID, Port: port.Port}] {
			// A slice may name any pod. One of another namespace does not count: the service's author could give it
			// ports there that take bytes, past the rules its owner wrote for requests.
			if pod := s.pods[ep.Pod]; pod != nil && ep.Pod.Namespace == svc.ID.Namespace && !seen[ep.Pod] {
				seen[ep.Pod] = true
				out = append(out, pod)
			}
		}
	}
	return out
}

// Selects reports whether a Service's selector fits a pod's labels: every pair must be there. An empty selector fits every
// pod, so callers ask first whether there is one.
func Selects(selector, labels map[string]string) bool {
	for k, v := range selector {
		if got, ok := labels[k]; !ok || got != v {
			return false
		}
	}
	return true
}

// Service returns one service, or nil.
func (s *Snapshot) Service(id meshid.Service) *Service { return s.services[id] }

// Pod returns one pod, or nil.
func (s *Snapshot) Pod(id meshid.Pod) *Pod { return s.pods[id] }

// Backing lists the identities of the pods behind a service, sorted.
func (s *Snapshot) Backing(id meshid.Service) []meshid.Identity { return s.backing[id] }

// ServicesOf lists the services a pod backs, sorted.
func (s *Snapshot) ServicesOf(pod meshid.Pod) []meshid.Service { return s.podToSvcs[pod] }

// Nodes lists the addresses of nodes that pods of the mesh run on, sorted. The caller must not change the slice.
func (s *Snapshot) Nodes() []netip.Addr { return s.nodes }

// IsNode reports whether an address is one of Nodes.
func (s *Snapshot) IsNode(a netip.Addr) bool {
	_, found := slices.BinarySearchFunc(s.nodes, a, netip.Addr.Compare)
	return found
}
