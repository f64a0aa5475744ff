package names

import (
	"testing"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/core/meshid"
)

func TestOutsideNames(t *testing.T) {
	svc := meshid.Service{Namespace: "ns", Name: "svc"}
	for want, got := range map[string]string{
		"egress-http.80":                     EgressChain("http", 80, 0),
		"egress-tcp-server-first.3306|1":     EgressChain("tcp-server-first", 3306, 1),
		"egress-refused.443":                 EgressRefusedChain(443),
		"egress-tcp.443|plain":               PlainChain(EgressChain("tcp", 443, 0)),
		"rds-egress.80":                      EgressRoutes(80),
		"egress_virtual-host|example.com":    EgressVirtualHost("example.com"),
		"example.com:80":                     EgressCluster("example.com", 80),
		"443":                                EgressPortCluster(443),
		"ingress_ns/svc_8080_https":          IngressChain(svc, 8080, "https", 0),
		"ingress_ns/svc_8080_https|1":        IngressChain(svc, 8080, "https", 1),
		"rds-ingress":                        IngressRoutes(8080, false),
		"rds-ingress.8080":                   IngressRoutes(8080, true),
		"ingress_virtual-host|" + svc.FQDN(): IngressVirtualHost(svc.FQDN()),
		"ns/svc|8080|local|ingress":          LocalClusterIngress(svc, 8080),
	} {
		require.Equal(t, want, got)
	}
}
