package names

import (
	"strconv"

	"openservicemesh.io/osm/internal/core/meshid"
)

// Listeners, special clusters and chains.
const (
	ListenerOutbound    = "outbound-listener"
	ListenerInbound     = "inbound-listener"
	ListenerMetrics     = "inbound-prometheus-listener"
	ListenerLiveness    = "liveness_listener"
	ListenerReadiness   = "readiness_listener"
	ListenerStartup     = "startup_listener"
	ClusterController   = "osm-controller"
	ClusterPassthrough  = "passthrough-outbound"
	ClusterMetrics      = "envoy-metrics-cluster"
	ClusterOwnMetrics   = "application-metrics-cluster"
	ClusterTracing      = "envoy-tracing-cluster"
	ChainPassthrough    = "outbound-egress-filter-chain"
	RouteConfigIngress  = "rds-ingress"
	PolicyRBACForRoute  = "rbac-for-route"
	FilterL4RBAC        = "l4_rbac"
	ALPNMesh            = "osm"
	StatPrefixHTTPProbe = "health_probes_http"
)

func num(p uint16) string { return strconv.Itoa(int(p)) }

// OutboundChain returns "outbound_<ns>/<svc>_<port>_<proto>"; port is the Service's port.
func OutboundChain(s meshid.Service, port uint16, p meshid.Protocol) string {
	return "outbound_" + s.String() + "_" + num(port) + "_" + string(p)
}

// OutboundChainTo returns "outbound_<ns>/<svc>_<port>:<number>_<proto>": the chain for the pods of a headless service in
// which the port's named target port is another number than in the others.
func OutboundChainTo(s meshid.Service, port, number uint16, p meshid.Protocol) string {
	return "outbound_" + s.String() + "_" + num(port) + ":" + num(number) + "_" + string(p)
}

// InboundChain returns "inbound_<ns>/<svc>_<targetPort>_<proto>".
func InboundChain(s meshid.Service, targetPort uint16, p meshid.Protocol) string {
	return "inbound_" + s.String() + "_" + num(targetPort) + "_" + string(p)
}

// OutboundRoutes returns "rds-outbound.<port>".
func OutboundRoutes(port uint16) string { return "rds-outbound." + num(port) }

// InboundRoutes returns "rds-inbound.<targetPort>".
func InboundRoutes(targetPort uint16) string { return "rds-inbound." + num(targetPort) }

// OutboundVirtualHost returns "outbound_virtual-host|<fqdn>".
func OutboundVirtualHost(fqdn string) string { return "outbound_virtual-host|" + fqdn }

// InboundVirtualHost returns "inbound_virtual-host|<fqdn>".
func InboundVirtualHost(fqdn string) string { return "inbound_virtual-host|" + fqdn }

// UpstreamCluster returns "<ns>/<svc>|<targetPort>", the name dashboards know.
func UpstreamCluster(s meshid.Service, targetPort uint16) string {
	return s.String() + "|" + num(targetPort)
}

// LocalCluster returns "<ns>/<svc>|<targetPort>|local", the application beside the sidecar.
func LocalCluster(s meshid.Service, targetPort uint16) string {
	return UpstreamCluster(s, targetPort) + "|local"
}

// SecretServiceCert returns "service-cert:<ns>/<sa>".
func SecretServiceCert(i meshid.Identity) string {
	return "service-cert:" + i.Namespace + "/" + i.ServiceAccount
}

// SecretRootOutbound is the validation context of all calls to services of the mesh. Each service's cluster says which
// names it accepts; one context for each service would be the same root many times over.
const SecretRootOutbound = "root-cert-for-mtls-outbound"

// SecretRootInbound returns "root-cert-for-mtls-inbound:<ns>/<sa>".
func SecretRootInbound(i meshid.Identity) string {
	return "root-cert-for-mtls-inbound:" + i.Namespace + "/" + i.ServiceAccount
}

// ALPNMeshBytes marks connections between sidecars that carry bytes of a port which declares no protocol and on which no
// HTTP was found.
const ALPNMeshBytes = "osm-tcp"

// UpstreamClusterBytes is the twin of a service port's cluster for bytes.
func UpstreamClusterBytes(s meshid.Service, targetPort uint16) string {
	return UpstreamCluster(s, targetPort) + "|tcp"
}

// SecretRootInboundPort is the validation context of the bytes that one port of an identity takes: it lists who may send
// them.
func SecretRootInboundPort(i meshid.Identity, targetPort uint16) string {
	return SecretRootInbound(i) + "|" + num(targetPort)
}

// PodService is the service identity of one pod of a headless Service: the name it has of its own, below the Service's.
func PodService(s meshid.Service, hostname string) meshid.Service {
	return meshid.Service{Namespace: s.Namespace, Name: hostname + "." + s.Name}
}

// ServiceHosts lists the host names a service answers to on one port, short to long, each with and without ":port".
// short adds "<svc>" alone, which means this service only to callers of its own namespace.
func ServiceHosts(s meshid.Service, port uint16, short bool) []string {
	base := s.Name + "." + s.Namespace
	hosts := []string{base, base + ".svc", base + ".svc.cluster", base + ".svc.cluster.local"}
	if short {
		hosts = append([]string{s.Name}, hosts...)
	}
	out := make([]string, 0, 2*len(hosts))
	for _, h := range hosts {
		out = append(out, h, h+":"+num(port))
	}
	return out
}

// LocalClusterHTTP2 returns "<ns>/<svc>|<targetPort>|local|h2", the application as an HTTP/2 server.
func LocalClusterHTTP2(s meshid.Service, targetPort uint16) string {
	return LocalCluster(s, targetPort) + HTTP2Suffix
}

// HTTP2Suffix ends the name of a local cluster that speaks HTTP/2 to the application.
const HTTP2Suffix = "|h2"

// HeaderDownstreamProtocol tells the server's sidecar what the calling application spoke ("HTTP/1.1", "HTTP/2"). The
// caller's sidecar overwrites it and the server's removes it.
const HeaderDownstreamProtocol = "x-osm-downstream-protocol"

// SecretRootInboundBytes is the validation context of the bytes that an identity takes on a port which declares no
// protocol.
func SecretRootInboundBytes(i meshid.Identity, targetPort uint16) string {
	return SecretRootInboundPort(i, targetPort) + "|tcp"
}

// ClusterEnd is the cluster by which a sidecar whose application has ended is told to end.
const ClusterEnd = "osm-end"
