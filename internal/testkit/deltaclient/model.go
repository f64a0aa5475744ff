package deltaclient

import (
	"fmt"
	"slices"
	"strings"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"

	"openservicemesh.io/osm/internal/core/envoy"
)

// Held is one resource in force at the client.
type Held struct {
	Version  string
	Resource *discovery.Resource
	Refs     []envoy.Ref
}

// Model is the state of a client. It is not safe for concurrent use.
type Model struct {
	// Refuse returns an error message for a resource the client does not accept, or "". May be nil.
	Refuse func(t envoy.TypeURL, r *discovery.Resource) string
	// Optional tells of which clusters the client has no need before it calls them, though it may refer to them. May be nil.
	Optional func(cluster string) bool
	// Held is type → name → what is in force.
	Held map[envoy.TypeURL]map[string]Held
	// Refused holds, per resource, the version last refused.
	Refused map[envoy.Ref]string
	// Counts per response handled since the last Connect.
	Responses, Resources, Removed int

	named   map[envoy.TypeURL]map[string]bool
	started map[envoy.TypeURL]bool
	// fresh counts how often something may rightly come though it is held at that version: once after it was part of
	// a refused response, twice after it was subscribed (a response may have been under way).
	fresh map[envoy.Ref]int
	// absent marks what the server said does not exist.
	absent map[envoy.Ref]bool
}

// NewModel returns a client that holds nothing.
func NewModel() *Model {
	m := &Model{Held: map[envoy.TypeURL]map[string]Held{}, Refused: map[envoy.Ref]string{}, named: map[envoy.TypeURL]map[string]bool{}, fresh: map[envoy.Ref]int{}, absent: map[envoy.Ref]bool{}}
	for _, t := range envoy.Types() {
		m.Held[t], m.named[t] = map[string]Held{}, map[string]bool{}
	}
	return m
}

// Connect begins a stream and returns its first requests: everything for clusters, then for listeners, then what is
// subscribed by name, each with the versions held.
func (m *Model) Connect() []*discovery.DeltaDiscoveryRequest {
	m.started = map[envoy.TypeURL]bool{}
	m.Responses, m.Resources, m.Removed = 0, 0, 0
	out := []*discovery.DeltaDiscoveryRequest{m.first(envoy.Cluster, append([]string{"*"}, keys(m.named[envoy.Cluster])...)...)}
	for _, t := range []envoy.TypeURL{envoy.Endpoint, envoy.Secret} {
		if len(m.named[t]) > 0 {
			out = append(out, m.first(t, keys(m.named[t])...))
		}
	}
	out = append(out, m.first(envoy.Listener, "*"))
	if len(m.named[envoy.Route]) > 0 {
		out = append(out, m.first(envoy.Route, keys(m.named[envoy.Route])...))
	}
	return out
}

// Ask returns the request for a cluster by its name, beside all others, as the first call to it leads to: nil if it was made
// before.
func (m *Model) Ask(cluster string) *discovery.DeltaDiscoveryRequest {
	if m.named[envoy.Cluster][cluster] {
		return nil
	}
	m.named[envoy.Cluster][cluster] = true
	m.fresh[envoy.Ref{Type: envoy.Cluster, Name: cluster}] = 2
	delete(m.absent, envoy.Ref{Type: envoy.Cluster, Name: cluster})
	return &discovery.DeltaDiscoveryRequest{TypeUrl: string(envoy.Cluster), ResourceNamesSubscribe: []string{cluster}}
}

// Asked reports whether a cluster was asked for by its name.
func (m *Model) Asked(cluster string) bool { return m.named[envoy.Cluster][cluster] }

func (m *Model) first(t envoy.TypeURL, names ...string) *discovery.DeltaDiscoveryRequest {
	m.started[t] = true
	req := &discovery.DeltaDiscoveryRequest{TypeUrl: string(t), ResourceNamesSubscribe: names, InitialResourceVersions: map[string]string{}}
	for name, h := range m.Held[t] {
		req.InitialResourceVersions[name] = h.Version
	}
	return req
}

// Handle applies a response and returns the requests it leads to, the answer among them. The error tells of a breach
// of the protocol by the server: something unchanged was sent again, or what the client holds refers to a cluster
// that it does not have, though it never refused it.
func (m *Model) Handle(resp *discovery.DeltaDiscoveryResponse) ([]*discovery.DeltaDiscoveryRequest, error) {
	t := envoy.TypeURL(resp.GetTypeUrl())
	if m.Held[t] == nil {
		return nil, fmt.Errorf("response of type %q", t)
	}
	m.Responses++
	var bad []string
	for _, r := range resp.GetResources() {
		m.Resources++
		ref := envoy.Ref{Type: t, Name: r.GetName()}
		if m.named[t] != nil && t != envoy.Cluster && t != envoy.Listener && !m.named[t][ref.Name] {
			continue // unsubscribed meanwhile
		}
		if h, ok := m.Held[t][r.GetName()]; ok && h.Version == r.GetVersion() && m.fresh[ref] == 0 {
			return nil, fmt.Errorf("%s %q came again unchanged at version %s", t, ref.Name, h.Version)
		}
		if m.Refuse != nil {
			if msg := m.Refuse(t, r); msg != "" {
				bad = append(bad, ref.Name+": "+msg)
				m.Refused[ref] = r.GetVersion()
				continue
			}
		}
		if len(bad) > 0 && t != envoy.Cluster && t != envoy.Listener {
			break // like Envoy, which goes on after an error for these two types only
		}
		if err := m.apply(ref, r); err != nil {
			return nil, err
		}
	}
	for _, name := range resp.GetRemovedResources() {
		m.Removed++
		if _, held := m.Held[t][name]; held { // else it is an answer to a question, and all that was refused still is
			delete(m.Refused, envoy.Ref{Type: t, Name: name})
		}
		delete(m.Held[t], name)
		m.absent[envoy.Ref{Type: t, Name: name}] = true
	}
	answer := &discovery.DeltaDiscoveryRequest{TypeUrl: string(t), ResponseNonce: resp.GetNonce()}
	for _, r := range resp.GetResources() {
		ref := envoy.Ref{Type: t, Name: r.GetName()}
		m.fresh[ref] = max(0, m.fresh[ref]-1)
		if len(bad) > 0 {
			m.fresh[ref]++
		}
	}
	if len(bad) > 0 {
		answer.ErrorDetail = &rpcstatus.Status{Code: 13, Message: strings.Join(bad, ", ")}
	}
	return append([]*discovery.DeltaDiscoveryRequest{answer}, m.follow()...), m.Dangling()
}

func (m *Model) apply(ref envoy.Ref, r *discovery.Resource) error {
	refs, err := Refs(r.GetResource())
	if err != nil {
		return err
	}
	m.Held[ref.Type][ref.Name] = Held{Version: r.GetVersion(), Resource: r, Refs: refs}
	delete(m.Refused, ref)
	delete(m.absent, ref)
	return nil
}

// follow subscribes and unsubscribes endpoints, secrets and routes as what is held names them.
func (m *Model) follow() []*discovery.DeltaDiscoveryRequest {
	want := map[envoy.TypeURL]map[string]bool{envoy.Endpoint: {}, envoy.Secret: {}, envoy.Route: {}}
	for _, t := range []envoy.TypeURL{envoy.Cluster, envoy.Listener} {
		for _, h := range m.Held[t] {
			for _, ref := range h.Refs {
				if want[ref.Type] != nil {
					want[ref.Type][ref.Name] = true
				}
			}
		}
	}
	var out []*discovery.DeltaDiscoveryRequest
	for _, t := range []envoy.TypeURL{envoy.Endpoint, envoy.Secret, envoy.Route} {
		var sub, unsub []string
		for _, n := range keys(want[t]) {
			if !m.named[t][n] {
				sub = append(sub, n)
				m.fresh[envoy.Ref{Type: t, Name: n}] = 2
			}
		}
		for _, n := range keys(m.named[t]) {
			if !want[t][n] {
				unsub = append(unsub, n)
				delete(m.Held[t], n)
				delete(m.Refused, envoy.Ref{Type: t, Name: n})
				delete(m.absent, envoy.Ref{Type: t, Name: n})
			}
		}
		m.named[t] = want[t]
		if len(sub)+len(unsub) == 0 {
			continue
		}
		req := &discovery.DeltaDiscoveryRequest{TypeUrl: string(t), ResourceNamesSubscribe: sub, ResourceNamesUnsubscribe: unsub}
		m.started[t] = true
		out = append(out, req)
	}
	return out
}

// Dangling reports a listener or route in force that names a cluster which the client neither has nor refused.
func (m *Model) Dangling() error {
	for _, t := range []envoy.TypeURL{envoy.Listener, envoy.Route} {
		for name, h := range m.Held[t] {
			for _, ref := range h.Refs {
				if ref.Type != envoy.Cluster {
					continue
				}
				if _, ok := m.Held[envoy.Cluster][ref.Name]; !ok && m.Refused[ref] == "" && (m.Optional == nil || !m.Optional(ref.Name)) {
					return fmt.Errorf("%s %q names cluster %q, which the client does not have", t, name, ref.Name)
				}
			}
		}
	}
	return nil
}

// Warm reports whether for every endpoint, secret and route that is subscribed there was an answer: it was delivered,
// refused, or said not to exist.
func (m *Model) Warm() bool {
	for t, names := range m.named {
		for n := range names {
			ref := envoy.Ref{Type: t, Name: n}
			if _, ok := m.Held[t][n]; !ok && m.Refused[ref] == "" && !m.absent[ref] {
				return false
			}
		}
	}
	return true
}

func keys(m map[string]bool) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
