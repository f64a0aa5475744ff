package sim

import (
	"fmt"
	"net/netip"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"openservicemesh.io/osm/internal/core/envoy"
)

// cluster is a client's side of a handshake.
type cluster struct {
	trust
	serverName, certSecret string
	alpn                   []string
	http2                  bool
}

func upstream(set *envoy.Resources, name string) (cluster, error) {
	r := set.Get(envoy.Cluster, name)
	if r == nil {
		return cluster{}, fmt.Errorf("cluster %s is referred to but not among the resources", name)
	}
	m := &clusterv3.Cluster{}
	if err := r.Body().UnmarshalTo(m); err != nil {
		return cluster{}, err
	}
	tls := &tlsv3.UpstreamTlsContext{}
	if err := m.GetTransportSocket().GetTypedConfig().UnmarshalTo(tls); err != nil {
		return cluster{}, fmt.Errorf("cluster %s: %w", name, err)
	}
	common := tls.GetCommonTlsContext()
	t, err := readTrust(set, common)
	if err != nil {
		return cluster{}, fmt.Errorf("cluster %s: %w", name, err)
	}
	if len(t.names) == 0 {
		return cluster{}, fmt.Errorf("cluster %s takes any certificate of the mesh for its server's", name)
	}
	out := cluster{trust: t, serverName: tls.Sni, alpn: common.AlpnProtocols, http2: len(m.TypedExtensionProtocolOptions) > 0}
	for _, c := range common.TlsCertificateSdsSecretConfigs {
		out.certSecret = c.Name
	}
	return out, nil
}

func firstEndpoint(r *envoy.Resource) (netip.AddrPort, bool, error) {
	if r == nil {
		return netip.AddrPort{}, false, nil
	}
	m := &endpointv3.ClusterLoadAssignment{}
	if err := r.Body().UnmarshalTo(m); err != nil {
		return netip.AddrPort{}, false, err
	}
	for _, l := range m.Endpoints {
		for _, e := range l.LbEndpoints {
			sa := e.GetEndpoint().GetAddress().GetSocketAddress()
			ip, err := netip.ParseAddr(sa.GetAddress())
			return netip.AddrPortFrom(ip, uint16(sa.GetPortValue())), err == nil, err
		}
	}
	return netip.AddrPort{}, false, nil
}
