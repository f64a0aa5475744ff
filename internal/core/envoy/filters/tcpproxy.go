package filters

import (
	"strconv"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"

	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/names"
)

// NameTCPProxy is the network filter that moves bytes.
const NameTCPProxy = "envoy.filters.network.tcp_proxy"

func tcpProxy(c ir.Chain, log ir.AccessLog) *listenerv3.Filter {
	prefix := "outbound-mesh-tcp-proxy_" + c.Name
	if c.Side == ir.Egress {
		prefix = "egress-tcp-proxy." + strconv.Itoa(int(c.Match.Port))
	}
	if c.MTLS != nil {
		prefix = "inbound-mesh-tcp-proxy." + c.TCP[0].Cluster
	}
	return tcpProxyTo(prefix, c, log)
}

// Passthrough moves a connection to where it was going.
func Passthrough(log ir.AccessLog) *listenerv3.Filter {
	return tcpProxyTo(names.ClusterPassthrough, ir.Chain{TCP: []ir.Target{{Cluster: names.ClusterPassthrough, Weight: 1}}}, log)
}

func tcpProxyTo(statPrefix string, c ir.Chain, log ir.AccessLog) *listenerv3.Filter {
	targets := c.TCP
	p := &tcpv3.TcpProxy{StatPrefix: statPrefix, AccessLog: accessLog(log), IdleTimeout: optional(c.Idle)}
	if c.OnDemand {
		p.OnDemand = &tcpv3.TcpProxy_OnDemand{OdcdsConfig: ADS(), Timeout: seconds(clusterSeconds)}
	}
	if len(targets) == 1 {
		p.ClusterSpecifier = &tcpv3.TcpProxy_Cluster{Cluster: targets[0].Cluster}
		return networkFilter(NameTCPProxy, p)
	}
	weighted := &tcpv3.TcpProxy_WeightedCluster{}
	for _, t := range targets {
		// Envoy wants every weight here to be at least 1; a backend of weight 0 gets nothing, so it is left out.
		if t.Weight > 0 {
			weighted.Clusters = append(weighted.Clusters, &tcpv3.TcpProxy_WeightedCluster_ClusterWeight{Name: t.Cluster, Weight: t.Weight})
		}
	}
	p.ClusterSpecifier = &tcpv3.TcpProxy_WeightedClusters{WeightedClusters: weighted}
	return networkFilter(NameTCPProxy, p)
}
