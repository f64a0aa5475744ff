package names

import (
	"strconv"

	"openservicemesh.io/osm/internal/core/meshid"
)

// ClusterRefused has no address: connections to destinations that no policy may open end there.
const ClusterRefused = "refused-outbound"

// EgressChain returns "egress-<proto>.<port>". Where one port needs several chains of a protocol, since ranges of addresses
// differ in what they take, the ones after the first (part 0) have "|<part>" behind.
func EgressChain(p meshid.Protocol, port uint16, part int) string {
	return "egress-" + string(p) + "." + num(port) + partSuffix(part)
}

// PlainChain returns "<chain>|plain", the twin of a TCP chain for what is not TLS.
func PlainChain(chain string) string { return chain + "|plain" }

// EgressRefusedChain returns "egress-refused.<port>".
func EgressRefusedChain(port uint16) string { return "egress-refused." + num(port) }

// EgressRoutes returns "rds-egress.<port>".
func EgressRoutes(port uint16) string { return "rds-egress." + num(port) }

// EgressVirtualHost returns "egress_virtual-host|<host>".
func EgressVirtualHost(host string) string { return "egress_virtual-host|" + host }

// EgressCluster returns "<host>:<port>", the cluster of a host that is called by http.
func EgressCluster(host string, port uint16) string { return host + ":" + num(port) }

// EgressPortCluster returns "<port>", the cluster of everything else on a port.
func EgressPortCluster(port uint16) string { return num(port) }

// IngressChain returns "ingress_<ns>/<svc>_<targetPort>_<proto>"; proto is http or https. part is as in EgressChain.
func IngressChain(s meshid.Service, targetPort uint16, proto meshid.Protocol, part int) string {
	return "ingress_" + s.String() + "_" + num(targetPort) + "_" + string(proto) + partSuffix(part)
}

// IngressRoutes returns RouteConfigIngress, or, for a proxy that takes ingress on several ports, "rds-ingress.<targetPort>":
// any host name may be asked for on each of them.
func IngressRoutes(targetPort uint16, several bool) string {
	if several {
		return RouteConfigIngress + "." + num(targetPort)
	}
	return RouteConfigIngress
}

// IngressVirtualHost returns "ingress_virtual-host|<fqdn>".
func IngressVirtualHost(fqdn string) string { return "ingress_virtual-host|" + fqdn }

// LocalClusterIngress returns "<ns>/<svc>|<targetPort>|local|ingress", the application as clients outside of the mesh call
// it: in the HTTP version that they speak.
func LocalClusterIngress(s meshid.Service, targetPort uint16) string {
	return LocalCluster(s, targetPort) + "|ingress"
}

func partSuffix(part int) string {
	if part == 0 {
		return ""
	}
	return "|" + strconv.Itoa(part)
}
