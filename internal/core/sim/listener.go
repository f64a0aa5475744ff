package sim

import (
	"fmt"
	"net/netip"
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
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
}

type chain struct {
	name        string
	port        uint16
	addrs       []netip.Prefix
	serverNames []string
	tls         bool
	access      *rules
	http        bool
	routeConfig string
	tcp         []target
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
	if err := r.Body.UnmarshalTo(m); err != nil {
		return nil, err
	}
	out := &listener{passthrough: m.DefaultFilterChain != nil}
	for _, fc := range m.FilterChains {
		c, err := readChain(fc)
		if err != nil {
			return nil, fmt.Errorf("%s: chain %s: %w", name, fc.Name, err)
		}
		out.chains = append(out.chains, c)
	}
	return out, nil
}

func readChain(fc *listenerv3.FilterChain) (chain, error) {
	match := fc.GetFilterChainMatch()
	c := chain{
		name: fc.Name, port: uint16(match.GetDestinationPort().GetValue()),
		serverNames: match.GetServerNames(), tls: fc.TransportSocket != nil,
	}
	for _, r := range match.GetPrefixRanges() {
		ip, err := netip.ParseAddr(r.AddressPrefix)
		if err != nil {
			return c, err
		}
		c.addrs = append(c.addrs, netip.PrefixFrom(ip, int(r.GetPrefixLen().GetValue())))
	}
	for _, f := range fc.Filters {
		if err := c.readFilter(f); err != nil {
			return c, fmt.Errorf("filter %s: %w", f.Name, err)
		}
	}
	return c, nil
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
		c.http, c.routeConfig = true, m.GetRds().GetRouteConfigName()
	case *tcpv3.TcpProxy:
		if name := m.GetCluster(); name != "" {
			c.tcp = []target{{name, 1}}
		}
		for _, w := range m.GetWeightedClusters().GetClusters() {
			c.tcp = append(c.tcp, target{w.Name, w.Weight})
		}
	default:
		return fmt.Errorf("%T is not known to the simulator", m)
	}
	return nil
}

// byDestination finds the chain of an outbound connection: a chain for the very address goes before one for any.
func (l *listener) byDestination(to netip.AddrPort) *chain {
	var wildcard *chain
	for i, c := range l.chains {
		if c.port != to.Port() {
			continue
		}
		if slices.ContainsFunc(c.addrs, func(p netip.Prefix) bool { return p.Contains(to.Addr()) }) {
			return &l.chains[i]
		}
		if len(c.addrs) == 0 && wildcard == nil {
			wildcard = &l.chains[i]
		}
	}
	return wildcard
}

func (l *listener) byServerName(port uint16, sni string) *chain {
	for i, c := range l.chains {
		if c.port == port && slices.Contains(c.serverNames, sni) {
			return &l.chains[i]
		}
	}
	return nil
}

type cluster struct {
	serverName string
	accepted   []string
}

// accepts reports whether the client takes a server's certificate for the cluster's. An empty list takes any.
func (c cluster) accepts(principal string) bool {
	return len(c.accepted) == 0 || slices.Contains(c.accepted, principal)
}

func upstream(set *envoy.Resources, name string) (cluster, error) {
	r := set.Get(envoy.Cluster, name)
	if r == nil {
		return cluster{}, fmt.Errorf("cluster %s is referred to but not among the resources", name)
	}
	m := &clusterv3.Cluster{}
	if err := r.Body.UnmarshalTo(m); err != nil {
		return cluster{}, err
	}
	tls := &tlsv3.UpstreamTlsContext{}
	if err := m.GetTransportSocket().GetTypedConfig().UnmarshalTo(tls); err != nil {
		return cluster{}, fmt.Errorf("cluster %s: %w", name, err)
	}
	trust := tls.GetCommonTlsContext().GetValidationContextSdsSecretConfig().GetName()
	s := set.Get(envoy.Secret, trust)
	if s == nil {
		return cluster{}, fmt.Errorf("secret %s is referred to but not among the resources", trust)
	}
	secret := &tlsv3.Secret{}
	if err := s.Body.UnmarshalTo(secret); err != nil {
		return cluster{}, err
	}
	out := cluster{serverName: tls.Sni}
	for _, n := range secret.GetValidationContext().GetMatchTypedSubjectAltNames() {
		out.accepted = append(out.accepted, n.GetMatcher().GetExact())
	}
	return out, nil
}
