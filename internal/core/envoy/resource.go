package envoy

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"io"
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
	// Refs are the resources this one names, sorted, without duplicates.
	Refs []Ref
	// OnDemand is for clusters: a proxy is sent it when it asks for it by name, or has it already. It is no part of the
	// version: a proxy that has the cluster need not be told when this changes.
	OnDemand bool

	// body is the content, unless it is that of a form with the name of a certificate in its gap.
	body *anypb.Any
	form *form
	cert string
}

// versionBytes is how much of the content's SHA-256 is its version.
const versionBytes = 8

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
		body: &anypb.Any{TypeUrl: string(t), Value: body},
		Refs: slices.Clip(slices.Compact(refs)),
	}
}

// Hash returns the first 16 hexadecimal digits of the SHA-256 of b.
func Hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:versionBytes])
}

// Resources is all configuration of one kind of proxy: clusters, listeners, routes and validation secrets. Endpoints
// and workload certificates travel in lanes of their own. It is immutable.
type Resources struct {
	// Version is a hash over every resource's type, name and version.
	Version string
	list    []*Resource // what Memory.Translate made it of
	byType  map[TypeURL][]*Resource
}

// made reports whether the set was made of this very list.
func (r *Resources) made(of []*Resource) bool { return slices.Equal(r.list, of) }

// NewResources builds the set; the order of list does not matter. Two resources of one type and name are a
// programming error and the later one wins.
func NewResources(list []*Resource) *Resources {
	r := &Resources{byType: map[TypeURL][]*Resource{}}
	for _, res := range list {
		r.byType[res.Type] = append(r.byType[res.Type], res)
	}
	h := sha256.New()
	for _, t := range Types() {
		r.byType[t] = sortedByName(r.byType[t])
		for _, res := range r.byType[t] {
			_, _ = io.WriteString(h, string(t)+"\x00"+res.Name+"\x00"+res.Version+onDemandMark(res)+"\n")
		}
	}
	r.Version = hex.EncodeToString(h.Sum(nil)[:versionBytes])
	return r
}

// sortedByName sorts resources of one type in place; of several with one name the last stays.
func sortedByName(list []*Resource) []*Resource {
	slices.Reverse(list)
	slices.SortStableFunc(list, func(a, b *Resource) int { return strings.Compare(a.Name, b.Name) })
	return slices.Clip(slices.CompactFunc(list, func(a, b *Resource) bool { return a.Name == b.Name }))
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
func (r *Resources) Get(t TypeURL, name string) *Resource {
	list := r.byType[t]
	if i, found := slices.BinarySearchFunc(list, name, func(r *Resource, name string) int { return strings.Compare(r.Name, name) }); found {
		return list[i]
	}
	return nil
}
