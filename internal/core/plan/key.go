package plan

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
)

// Key says which configuration a proxy needs: everything about a pod that changes it, and nothing else. Replicas of
// one workload have equal keys and share one plan and one encoding. It is comparable.
type Key struct {
	Identity meshid.Identity
	// Services are the services the pod backs, sorted and joined by Services.
	services string
	// Metrics is whether the pod is annotated for scraping and so gets the metrics listener.
	Metrics bool
	// Application is where the application's own metrics are, to be served beside the sidecar's.
	Application ir.MetricsSource
	// IPv6 is whether the pod has an IPv6 address, so that listeners bind the IPv6 wildcard too.
	IPv6 bool
	// Finished is whether the application has ended for good, so that the sidecar shall end too.
	Finished bool
}

// NewKey builds a key; services need not be sorted.
func NewKey(id meshid.Identity, services []meshid.Service, metrics, ipv6 bool) Key {
	names := make([]string, 0, len(services))
	for _, s := range services {
		names = append(names, s.String())
	}
	slices.Sort(names)
	return Key{Identity: id, services: strings.Join(slices.Compact(names), ","), Metrics: metrics, IPv6: ipv6}
}

// Services lists the services the pod backs, sorted.
func (k Key) Services() []meshid.Service {
	if k.services == "" {
		return nil
	}
	var out []meshid.Service
	for _, n := range strings.Split(k.services, ",") {
		ns, name, _ := strings.Cut(n, "/")
		out = append(out, meshid.Service{Namespace: ns, Name: name})
	}
	return out
}

// String is for logs and tests.
func (k Key) String() string {
	var b strings.Builder
	b.WriteString(k.Identity.String() + "[" + k.services + "]")
	if k.Metrics {
		b.WriteString("+metrics")
	}
	if a := k.Application; a != (ir.MetricsSource{}) {
		b.WriteString("+" + strconv.Itoa(int(a.Port)) + a.Path)
	}
	if k.IPv6 {
		b.WriteString("+ipv6")
	}
	if k.Finished {
		b.WriteString("+finished")
	}
	return b.String()
}

// Compare orders keys for stable listings.
func (k Key) Compare(o Key) int {
	return cmp.Or(k.Identity.Compare(o.Identity), cmp.Compare(k.String(), o.String()))
}
