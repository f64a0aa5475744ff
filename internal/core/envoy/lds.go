package envoy

import (
	"cmp"
	"net/netip"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	originaldstv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/original_dst/v3"
	tlsinspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"openservicemesh.io/osm/internal/core/envoy/filters"
	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/names"
)

const (
	nameOriginalDst  = "envoy.filters.listener.original_dst"
	nameTLSInspector = "envoy.filters.listener.tls_inspector"
	anyIPv4          = "0.0.0.0"
	anyIPv6          = "::"
	// A client that connects to an inbound port and sends nothing is not a sidecar.
	inspectSeconds = 5
	// Where a port declares nothing, a client that says nothing for so long waits for a server that speaks first.
	detectSeconds = 1
	// The field filter_chains of a Listener.
	fieldFilterChains = 3
)

// outbound matches connections by where they were going, which needs no look into their bytes: so a server that speaks
// first is not kept waiting. Ports of egress policies about HTTP and TLS are the exception.
func (t *translator) outbound(p ir.Proxy) {
	l := listener(names.ListenerOutbound, names.PortOutbound, p.IPv6)
	l.TrafficDirection = corev3.TrafficDirection_OUTBOUND
	l.ListenerFilters = []*listenerv3.ListenerFilter{listenerFilter(nameOriginalDst, &originaldstv3.OriginalDst{})}
	if inspectors := outboundInspectors(p.Outbound.Chains); inspectors != nil {
		l.ListenerFilters = append(l.ListenerFilters, inspectors...)
		// What says nothing for so long is no HTTP and no TLS; it is matched by its destination alone.
		l.ContinueOnListenerFiltersTimeout = true
		if slices.ContainsFunc(p.Outbound.Chains, func(c ir.Chain) bool { return c.Match.Detected }) {
			l.ListenerFiltersTimeout = &durationpb.Duration{Seconds: detectSeconds}
		}
	}
	var refs []Ref
	t.chains(p.Outbound, p)
	if p.Outbound.Passthrough {
		l.DefaultFilterChain = &listenerv3.FilterChain{
			Name: names.ChainPassthrough, Filters: []*listenerv3.Filter{filters.Passthrough(p.AccessLog)}}
		refs = append(refs, Ref{Cluster, names.ClusterPassthrough})
	}
	t.assemble(Listener, l.Name, l, fieldFilterChains, refs...)
}

// chains encodes the filter chains of the listener that is being made.
func (t *translator) chains(l *ir.Listener, p ir.Proxy) {
	type rest struct {
		Log ir.AccessLog
		TLS ir.TLS
	}
	with := rest{p.AccessLog, p.TLS}
	all(t, l.Chains, l.Shared, digestOf(with), func(c ir.Chain) {
		from := struct {
			Chain ir.Chain
			With  rest
		}{c, with}
		t.part(fieldFilterChains, from, func() (proto.Message, []Ref) { return filterChain(c, with.Log, with.TLS), chainRefs(c) })
	})
}

// inbound takes mutual TLS of the mesh, and what ingress policies say. Any other client matches no chain and is reset.
func (t *translator) inbound(p ir.Proxy) {
	l := listener(names.ListenerInbound, names.PortInbound, p.IPv6)
	l.TrafficDirection = corev3.TrafficDirection_INBOUND
	l.ListenerFilters = []*listenerv3.ListenerFilter{
		listenerFilter(nameOriginalDst, &originaldstv3.OriginalDst{}),
		listenerFilter(nameTLSInspector, &tlsinspectorv3.TlsInspector{}),
	}
	l.ListenerFiltersTimeout = &durationpb.Duration{Seconds: inspectSeconds}
	t.chains(p.Inbound, p)
	t.assemble(Listener, l.Name, l, fieldFilterChains)
}

func listener(name string, port uint16, ipv6 bool) *listenerv3.Listener {
	l := &listenerv3.Listener{Name: name, Address: socketAddress(anyIPv4, port)}
	if ipv6 {
		l.AdditionalAddresses = []*listenerv3.AdditionalAddress{{Address: socketAddress(anyIPv6, port)}}
	}
	return l
}

func listenerFilter(name string, config proto.Message) *listenerv3.ListenerFilter {
	return &listenerv3.ListenerFilter{Name: name, ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: filters.Any(config)}}
}

func filterChain(c ir.Chain, log ir.AccessLog, tls ir.TLS) *listenerv3.FilterChain {
	m := &listenerv3.FilterChainMatch{DestinationPort: wrapperspb.UInt32(uint32(c.Match.Port)), ServerNames: c.Match.ServerNames}
	for _, a := range c.Match.Addresses {
		m.PrefixRanges = append(m.PrefixRanges, host(a))
	}
	m.PrefixRanges = append(m.PrefixRanges, ranges(c.Match.Ranges)...)
	m.SourcePrefixRanges = ranges(c.Match.Sources)
	outsideMatch(m, c)
	out := &listenerv3.FilterChain{Name: c.Name, FilterChainMatch: m, Filters: filters.Network(c, log)}
	switch {
	case c.MTLS != nil && c.Side == ir.Ingress:
		out.TransportSocket = ingressTLS(*c.MTLS, tls)
	case c.MTLS != nil:
		m.TransportProtocol = transportTLS
		alpn := cmp.Or(c.Match.ALPN, names.ALPNMesh)
		m.ApplicationProtocols = []string{alpn}
		out.TransportSocket = downstreamTLS(*c.MTLS, alpn, tls)
	}
	return out
}

// host is the prefix range of one address.
func host(a string) *corev3.CidrRange {
	bits := uint32(32)
	if ip, err := netip.ParseAddr(a); err == nil {
		bits = uint32(ip.BitLen())
	}
	return &corev3.CidrRange{AddressPrefix: a, PrefixLen: wrapperspb.UInt32(bits)}
}

func chainRefs(c ir.Chain) []Ref {
	var refs []Ref
	if c.RouteConfig != "" {
		refs = append(refs, Ref{Route, c.RouteConfig})
	}
	for _, t := range c.TCP {
		refs = append(refs, Ref{Cluster, t.Cluster})
	}
	for _, asked := range askedBy(c) {
		refs = append(refs, Ref{Cluster, asked})
	}
	if c.MTLS != nil {
		refs = append(refs, Ref{Secret, c.MTLS.CertSecret})
	}
	if c.MTLS != nil && !c.MTLS.AnyClient {
		refs = append(refs, Ref{Secret, c.MTLS.TrustSecret})
	}
	return refs
}
