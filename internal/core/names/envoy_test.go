package names

import (
	"testing"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/core/meshid"
)

// TestNamesThatUsersKnow spells out what dashboards, scripts and `osm verify` compare with.
func TestNamesThatUsersKnow(t *testing.T) {
	s := meshid.Service{Namespace: "httpbin", Name: "httpbin"}
	id := meshid.Identity{Namespace: "curl", ServiceAccount: "curl"}
	for got, want := range map[string]string{
		OutboundChain(s, 14001, meshid.HTTP):      "outbound_httpbin/httpbin_14001_http",
		InboundChain(s, 14001, meshid.GRPC):       "inbound_httpbin/httpbin_14001_grpc",
		OutboundRoutes(14001):                     "rds-outbound.14001",
		InboundRoutes(8080):                       "rds-inbound.8080",
		OutboundVirtualHost(s.FQDN()):             "outbound_virtual-host|httpbin.httpbin.svc.cluster.local",
		InboundVirtualHost(s.FQDN()):              "inbound_virtual-host|httpbin.httpbin.svc.cluster.local",
		UpstreamCluster(s, 14001):                 "httpbin/httpbin|14001",
		LocalCluster(s, 14001):                    "httpbin/httpbin|14001|local",
		LocalClusterHTTP2(s, 14001):               "httpbin/httpbin|14001|local|h2",
		SecretServiceCert(id):                     "service-cert:curl/curl",
		SecretRootOutbound:                        "root-cert-for-mtls-outbound",
		SecretRootInbound(id):                     "root-cert-for-mtls-inbound:curl/curl",
		ListenerOutbound:                          "outbound-listener",
		ListenerInbound:                           "inbound-listener",
		ListenerMetrics:                           "inbound-prometheus-listener",
		ChainPassthrough:                          "outbound-egress-filter-chain",
		ClusterPassthrough:                        "passthrough-outbound",
		ClusterMetrics:                            "envoy-metrics-cluster",
		InjectorWebhookConfig("osm-webhook", "m"): "osm-webhook-m",
		ValidatorWebhookConfig("m"):               "osm-validator-mesh-m",
		TokenAudience("osm", "osm-system"):        "osm-ads.osm.osm-system",
	} {
		require.Equal(t, want, got)
	}
}

func TestServiceHosts(t *testing.T) {
	s := meshid.Service{Namespace: "ns", Name: "svc"}
	long := []string{
		"svc.ns", "svc.ns:80", "svc.ns.svc", "svc.ns.svc:80", "svc.ns.svc.cluster", "svc.ns.svc.cluster:80",
		"svc.ns.svc.cluster.local", "svc.ns.svc.cluster.local:80",
	}
	require.Equal(t, long, ServiceHosts(s, 80, false))
	require.Equal(t, append([]string{"svc", "svc:80"}, long...), ServiceHosts(s, 80, true))
}
