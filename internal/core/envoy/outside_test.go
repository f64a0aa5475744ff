package envoy

import (
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/stretchr/testify/require"
	"k8s.io/utils/ptr"

	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
)

// TestInspectorsLookOnlyWhereNeeded: a listener without egress policies about HTTP and TLS looks into nothing, so no server
// that speaks first is kept waiting.
func TestInspectorsLookOnlyWhereNeeded(t *testing.T) {
	chain := func(side ir.Side, p meshid.Protocol, port uint16) ir.Chain {
		return ir.Chain{Side: side, Protocol: p, Match: ir.ChainMatch{Port: port}}
	}
	require.Empty(t, outboundInspectors(nil))
	require.Empty(t, outboundInspectors([]ir.Chain{chain("", meshid.HTTP, 80), chain(ir.Egress, meshid.TCP, 81), chain(ir.Egress, meshid.TCPServerFirst, 82)}))
	list := outboundInspectors([]ir.Chain{chain(ir.Egress, meshid.HTTP, 80), chain(ir.Egress, ir.HTTPS, 443), chain(ir.Egress, meshid.HTTP, 80), chain(ir.Egress, meshid.TCP, 5432)})
	require.Len(t, list, 2)
	for _, f := range list {
		on := f.FilterDisabled.GetNotMatch().GetOrMatch().GetRules()
		require.Len(t, on, 2)
		require.Equal(t, int32(80), on[0].GetDestinationPortRange().Start)
		require.Equal(t, int32(81), on[0].GetDestinationPortRange().End)
		require.Equal(t, int32(443), on[1].GetDestinationPortRange().Start)
	}
}

func TestIngressTLS(t *testing.T) {
	read := func(m ir.MTLS) *tlsv3.DownstreamTlsContext {
		out := &tlsv3.DownstreamTlsContext{}
		require.NoError(t, ingressTLS(m, ir.TLS{MinVersion: "TLSv1_2"}).GetTypedConfig().UnmarshalTo(out))
		require.Equal(t, []string{"h2", "http/1.1"}, out.CommonTlsContext.AlpnProtocols, "the mesh's ALPN is the mesh's alone")
		return out
	}
	strict := read(ir.MTLS{CertSecret: "c", TrustSecret: "t"})
	require.True(t, strict.RequireClientCertificate.GetValue())
	require.Equal(t, "t", strict.CommonTlsContext.GetValidationContextSdsSecretConfig().GetName())
	open := read(ir.MTLS{CertSecret: "c", TrustSecret: "t", AnyClient: true})
	require.False(t, open.RequireClientCertificate.GetValue())
	require.Nil(t, open.CommonTlsContext.ValidationContextType)
}

func TestOutsideMatch(t *testing.T) {
	match := func(c ir.Chain) *listenerv3.FilterChainMatch {
		m := &listenerv3.FilterChainMatch{}
		outsideMatch(m, c)
		return m
	}
	require.Equal(t, "raw_buffer", match(ir.Chain{Side: ir.Ingress, Protocol: meshid.HTTP}).TransportProtocol)
	require.Equal(t, "tls", match(ir.Chain{Side: ir.Ingress, Protocol: meshid.HTTP, MTLS: &ir.MTLS{}}).TransportProtocol)
	require.Empty(t, match(ir.Chain{Side: ir.Ingress, Protocol: meshid.HTTP, MTLS: &ir.MTLS{}}).ApplicationProtocols)
	require.Equal(t, httpALPN, match(ir.Chain{Side: ir.Egress, Protocol: meshid.HTTP}).ApplicationProtocols)
	require.Equal(t, "tls", match(ir.Chain{Side: ir.Egress, Protocol: ir.HTTPS}).TransportProtocol)
	require.Empty(t, match(ir.Chain{Side: ir.Egress, Protocol: meshid.TCP}).TransportProtocol)
	require.Equal(t, "raw_buffer", match(ir.Chain{Side: ir.Egress, Protocol: meshid.TCP, Match: ir.ChainMatch{Plaintext: true}}).TransportProtocol)
}

func TestLimits(t *testing.T) {
	c := dnsCluster(ir.Cluster{Name: "a:80", Kind: ir.DNS, Host: "a", Port: 80, Limits: &ir.Limits{MaxConnections: ptr.To[uint32](3), ConnectTimeout: 2e9}})
	require.Equal(t, nameDNSCluster, c.GetClusterType().GetName())
	require.Equal(t, uint32(3), c.CircuitBreakers.Thresholds[0].MaxConnections.GetValue())
	require.Equal(t, uint32(4294967295), c.CircuitBreakers.Thresholds[0].MaxRequests.GetValue())
	require.Equal(t, int64(2), c.ConnectTimeout.Seconds)
	require.Nil(t, dnsCluster(ir.Cluster{Host: "2001:db8::1", Port: 80}).GetClusterType(), "an address is not asked DNS for")
	require.Empty(t, nowhere(ir.Cluster{Name: "n"}).LoadAssignment.Endpoints)
}
