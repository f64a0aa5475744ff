package envoy

import (
	"maps"
	"slices"

	"google.golang.org/protobuf/types/known/anypb"

	"openservicemesh.io/osm/internal/core/envoy/filters"
	"openservicemesh.io/osm/internal/core/ir"
)

// buckets are the local rate limits of a virtual host. Each is configured at the virtual host and in charge of one filter,
// so that all routes of a path draw on one bucket; a route that a bucket is not for has its filter disabled.
type buckets struct {
	host *ir.RequestRate
	// paths are those with a bucket of their own, sorted. The place of a path says which filter is its.
	paths []string
	rates map[string]ir.RequestRate
}

func bucketsOf(v ir.VirtualHost) buckets {
	b := buckets{host: v.RequestRate, rates: map[string]ir.RequestRate{}}
	for _, r := range v.Routes {
		if r.RequestRate != nil {
			b.rates[r.Match.Path] = *r.RequestRate
		}
	}
	b.paths = slices.Sorted(maps.Keys(b.rates))
	return b
}

// configs are the filters' configurations at the virtual host, added to what it has.
func (b buckets) configs(m map[string]*anypb.Any) map[string]*anypb.Any {
	if b.host != nil {
		m = with(m, filters.LocalRateLimitName(0), filters.RequestRate(*b.host))
	}
	for i, path := range b.paths {
		m = with(m, filters.LocalRateLimitName(i+1), filters.RequestRate(b.rates[path]))
	}
	return m
}

// keptFrom disables the filters of the buckets that a route does not draw on.
func (b buckets) keptFrom(r ir.Route) map[string]*anypb.Any {
	var m map[string]*anypb.Any
	if b.host != nil && r.RequestRate != nil {
		m = with(m, filters.LocalRateLimitName(0), filters.Disabled())
	}
	for i, path := range b.paths {
		if path != r.Match.Path {
			m = with(m, filters.LocalRateLimitName(i+1), filters.Disabled())
		}
	}
	return m
}

func with(m map[string]*anypb.Any, name string, config *anypb.Any) map[string]*anypb.Any {
	if m == nil {
		m = map[string]*anypb.Any{}
	}
	m[name] = config
	return m
}
