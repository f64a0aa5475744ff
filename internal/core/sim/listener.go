package sim

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	netrbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/rbac/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/names"
)

type listener struct {
	chains      []chain
	passthrough bool
	inspectors  inspectors
}

type chain struct {
	name        string
	port        uint16
	addrs       []netip.Prefix
	sources     []netip.Prefix
	serverNames []string
	alpn        []string
	transport   string // "tls", "raw_buffer" or "" for either
	tls         *tlsServer
	access      *rules
	http, http2 bool
	paths       normalizer
	routeConfig string
	tcp         []target
	limits      limits
}

// tlsServer is a chain's side of a handshake.
type tlsServer struct {
	clientCert bool
	trust      trust
}

// hello is what a client says first, and where from.
type hello struct {
	tls  bool
	sni  string
	alpn []string
	from netip.Addr
}

type target struct {
	cluster string
	weight  uint32
}

func outboundListener(set *envoy.Resources) (*listener, error) {
	return readListener(set, names.ListenerOutbound)
}

func inboundListener(set *envoy.Resources) (*listener, error) {
	return readListener(set, names.ListenerInbound)
}

// readListener returns nil when the listener is not programmed.
func readListener(set *envoy.Resources, name string) (*listener, error) {
	r := set.Get(envoy.Listener, name)
	if r == nil {
		return nil, nil
	}
	m := &listenerv3.Listener{}
	if err := r.Body().UnmarshalTo(m); err != nil {
		return nil, err
	}
	out := &listener{passthrough: m.DefaultFilterChain != nil}
	var err error
	if out.inspectors, err = readInspectors(m.ListenerFilters); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for _, fc := range m.FilterChains {
		c, err := readChain(set, fc)
		if err != nil {
			return nil, fmt.Errorf("%s: chain %s: %w", name, fc.Name, err)
		}
		out.chains = append(out.chains, c)
	}
	return out, nil
}

func readChain(set *envoy.Resources, fc *listenerv3.FilterChain) (chain, error) {
	match := fc.GetFilterChainMatch()
	c := chain{
		name: fc.Name, port: uint16(match.GetDestinationPort().GetValue()),
		serverNames: match.GetServerNames(), alpn: match.GetApplicationProtocols(), transport: match.GetTransportProtocol(),
	}
	if err := c.readSocket(set, fc); err != nil {
		return c, err
	}
	var err error
	if c.addrs, err = readRanges(match.GetPrefixRanges()); err != nil {
		return c, err
	}
	if c.sources, err = readRanges(match.GetSourcePrefixRanges()); err != nil {
		return c, err
	}
	for _, f := range fc.Filters {
		if err := c.readFilter(f); err != nil {
			return c, fmt.Errorf("filter %s: %w", f.Name, err)
		}
	}
	return c, nil
}

func (c *chain) readSocket(set *envoy.Resources, fc *listenerv3.FilterChain) error {
	if fc.TransportSocket == nil {
		return nil
	}
	m := &tlsv3.DownstreamTlsContext{}
	if err := fc.TransportSocket.GetTypedConfig().UnmarshalTo(m); err != nil {
		return err
	}
	c.tls = &tlsServer{clientCert: m.RequireClientCertificate.GetValue()}
	if m.GetCommonTlsContext().GetValidationContextSdsSecretConfig() == nil && !c.tls.clientCert {
		return nil // no certificate is asked for
	}
	t, err := readTrust(set, m.GetCommonTlsContext())
	c.tls.trust = t
	return err
}

func (c *chain) readFilter(f *listenerv3.Filter) error {
	m, err := f.GetTypedConfig().UnmarshalNew()
	if err != nil {
		return err
	}
	switch m := m.(type) {
	case *netrbacv3.RBAC:
		c.access = &rules{m.Rules}
	case *hcmv3.HttpConnectionManager:
		c.http, c.routeConfig, c.paths = true, m.GetRds().GetRouteConfigName(), readNormalizer(m)
		c.http2 = m.CodecType == hcmv3.HttpConnectionManager_HTTP2
		return c.limits.readHTTP(m)
	case *tcpv3.TcpProxy:
		if name := m.GetCluster(); name != "" {
			c.tcp = []target{{name, 1}}
		}
		for _, w := range m.GetWeightedClusters().GetClusters() {
			c.tcp = append(c.tcp, target{w.Name, w.Weight})
		}
	default:
		return c.limits.readNetwork(m)
	}
	return nil
}

// trust is which certificates of the mesh are accepted. No names take any.
type trust struct{ names []string }

func (t trust) accepts(principal string) bool {
	return len(t.names) == 0 || slices.Contains(t.names, principal)
}

// readTrust reads the validation secret that a TLS context names, and the names that it adds itself.
func readTrust(set *envoy.Resources, c *tlsv3.CommonTlsContext) (trust, error) {
	own := c.GetCombinedValidationContext()
	name := cmp.Or(own.GetValidationContextSdsSecretConfig().GetName(), c.GetValidationContextSdsSecretConfig().GetName())
	s := set.Get(envoy.Secret, name)
	if s == nil {
		return trust{}, fmt.Errorf("secret %s is referred to but not among the resources", name)
	}
	secret := &tlsv3.Secret{}
	if err := s.Body().UnmarshalTo(secret); err != nil {
		return trust{}, err
	}
	v := secret.GetValidationContext()
	if len(v.GetTrustedCa().GetInlineBytes()) == 0 || v.TrustChainVerification != tlsv3.CertificateValidationContext_VERIFY_TRUST_CHAIN {
		return trust{}, fmt.Errorf("secret %s accepts certificates of anybody", name)
	}
	var out trust
	for _, n := range slices.Concat(own.GetDefaultValidationContext().GetMatchTypedSubjectAltNames(), v.GetMatchTypedSubjectAltNames()) {
		if n.SanType != tlsv3.SubjectAltNameMatcher_DNS || n.GetMatcher().GetExact() == "" {
			return trust{}, fmt.Errorf("secret %s matches names in a way not known to the simulator", name)
		}
		out.names = append(out.names, n.GetMatcher().GetExact())
	}
	return out, nil
}
