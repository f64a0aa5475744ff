package envoy

import (
	"google.golang.org/protobuf/proto"

	"openservicemesh.io/osm/internal/core/ir"
)

// Bundle is what sidecars verify each other by: PEM certificates of every root in force. It is not part of a plan, so
// that a new root changes validation secrets and nothing else.
type Bundle []byte

// Translate encodes one plan. The result holds clusters, listeners, routes and validation secrets; endpoints and
// workload certificates have lanes of their own (LoadAssignment, ServiceCert).
func Translate(p ir.Proxy, roots Bundle) (*Resources, error) {
	return NewMemory().Translate(p, roots, nil)
}

func (t *translator) proxy(p ir.Proxy, roots Bundle) {
	for _, c := range p.Clusters {
		t.cluster(c, p.TLS)
	}
	if p.Outbound != nil {
		t.outbound(p)
	}
	if p.Inbound != nil {
		t.inbound(p)
	}
	if p.Metrics {
		t.metrics(p)
	}
	twins := http2Twins(p.Clusters)
	for _, rc := range p.RouteConfigs {
		t.routeConfig(rc, twins)
	}
	for _, trust := range p.Trusts {
		t.trust(trust, roots)
	}
}

// translator collects resources and the first error. parts are those of the resource that is being made, before is what the
// same key had.
type translator struct {
	memory *Memory
	before *Resources
	tls    *digest
	out    []*Resource
	parts  []*part
	err    error
}

func (t *translator) add(typ TypeURL, name string, m proto.Message, refs ...Ref) {
	r, err := NewResource(typ, name, m, refs...)
	if err != nil {
		t.err = err
		return
	}
	t.out = append(t.out, r)
}

// digestOfTLS is remembered: all clusters of a proxy have the same.
func (t *translator) digestOfTLS(tls ir.TLS) digest {
	if t.tls == nil {
		d := digestOf(tls)
		t.tls = &d
	}
	return *t.tls
}
