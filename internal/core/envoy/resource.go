package envoy

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// TypeURL names one xDS resource type, as in DeltaDiscoveryRequest.type_url
// (https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol).
type TypeURL string

// The resource types the mesh serves.
const (
	Cluster  TypeURL = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	Endpoint TypeURL = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
	Listener TypeURL = "type.googleapis.com/envoy.config.listener.v3.Listener"
	Route    TypeURL = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
	Secret   TypeURL = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
)

// Types lists the served types in the order in which additions are safe: what is referred to comes before what refers.
func Types() []TypeURL { return []TypeURL{Secret, Cluster, Endpoint, Listener, Route} }

// Ref is one resource's mention of another.
type Ref struct {
	Type TypeURL
	Name string
}

// Compare orders refs by type, then name.
func (r Ref) Compare(o Ref) int {
	return cmp.Or(cmp.Compare(r.Type, o.Type), cmp.Compare(r.Name, o.Name))
}

// Resource is one encoded xDS resource. It is immutable and shared between connections.
type Resource struct {
	Type TypeURL
	Name string
	// Version is derived from the content alone, so two controllers that hold the same content give the same version.
	Version string
	Body    *anypb.Any
	// Refs are the resources this one names, sorted, without duplicates.
	Refs []Ref
	// OnDemand is for clusters: a proxy is sent it when it asks for it by name, or has it already. It is no part of the
	// version: a proxy that has the cluster need not be told when this changes.
	OnDemand bool
}

// NewResource encodes m deterministically and derives the version from the bytes.
func NewResource(t TypeURL, name string, m proto.Message, refs ...Ref) (*Resource, error) {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, err
	}
	return newResource(t, name, b, refs), nil
}

func newResource(t TypeURL, name string, body []byte, refs []Ref) *Resource {
	slices.SortFunc(refs, Ref.Compare)
	return &Resource{
		Type: t, Name: name, Version: Hash(body),
		Body: &anypb.Any{TypeUrl: string(t), Value: body},
		Refs: slices.Clip(slices.Compact(refs)),
	}
}

// Hash returns the first 16 hexadecimal digits of the SHA-256 of b.
func Hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// Resources is all configuration of one kind of proxy: clusters, listeners, routes and validation secrets. Endpoints
// and workload certificates travel in lanes of their own. It is immutable.
type Resources struct {
	// Version is a hash over every resource's type, name and version.
	Version string
	list    []*Resource // what Memory.Translate made it of
	byType  map[TypeURL][]*Resource
	byName  map[Ref]*Resource
}

// made reports whether the set was made of this very list.
func (r *Resources) made(of []*Resource) bool { return slices.Equal(r.list, of) }

// NewResources builds the set; the order of list does not matter. Two resources of one type and name are a
// programming error and the later one wins.
func NewResources(list []*Resource) *Resources {
	r := &Resources{byType: map[TypeURL][]*Resource{}, byName: make(map[Ref]*Resource, len(list))}
	for _, res := range list {
		r.byName[Ref{res.Type, res.Name}] = res
	}
	var all strings.Builder
	for _, t := range Types() {
		for ref, res := range r.byName {
			if ref.Type == t {
				r.byType[t] = append(r.byType[t], res)
			}
		}
		slices.SortFunc(r.byType[t], func(a, b *Resource) int { return cmp.Compare(a.Name, b.Name) })
		for _, res := range r.byType[t] {
			all.WriteString(string(t) + "\x00" + res.Name + "\x00" + res.Version + onDemandMark(res) + "\n")
		}
	}
	r.Version = Hash([]byte(all.String()))
	return r
}

// onDemandMark tells sets apart that differ in what is on demand alone.
func onDemandMark(r *Resource) string {
	if r.OnDemand {
		return "\x00on demand"
	}
	return ""
}

// List returns the resources of one type, sorted by name. The caller must not change the slice.
func (r *Resources) List(t TypeURL) []*Resource { return r.byType[t] }

// Get returns one resource, or nil.
func (r *Resources) Get(t TypeURL, name string) *Resource { return r.byName[Ref{t, name}] }
