package pipeline

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// bothFamilies is a service and a pod that have an IPv4 and an IPv6 address each. The interface has one IPv6 address, so the
// service's port is another than the pod's.
const bothFamilies = `
---
apiVersion: v1
kind: Service
metadata: {name: both, namespace: shop}
spec:
  clusterIP: 127.0.77.9
  clusterIPs: ["127.0.77.9", "::1"]
  ipFamilies: [IPv4, IPv6]
  selector: {app: both}
  ports: [{name: http, port: PORT_LIMITS, targetPort: PORT_WEB}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: both-4, namespace: shop, labels: {kubernetes.io/service-name: both}}
addressType: IPv4
ports: [{name: http, port: PORT_WEB, protocol: TCP}]
endpoints:
- {addresses: [127.0.88.7], conditions: {ready: true}, targetRef: {kind: Pod, name: both, namespace: shop, uid: both}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: both-6, namespace: shop, labels: {kubernetes.io/service-name: both}}
addressType: IPv6
ports: [{name: http, port: PORT_WEB, protocol: TCP}]
endpoints:
- {addresses: ["::1"], conditions: {ready: true}, targetRef: {kind: Pod, name: both, namespace: shop, uid: both}}
---
apiVersion: v1
kind: Pod
metadata: {name: both, namespace: shop, uid: both, labels: {app: both, osm-proxy-uuid: both}}
spec: {serviceAccountName: both, containers: [{name: app, image: app}]}
status: {phase: Running, podIP: 127.0.88.7, podIPs: [{ip: 127.0.88.7}, {ip: "::1"}]}
---
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: both, namespace: shop}
spec:
  destination: {kind: ServiceAccount, name: both, namespace: shop}
  sources: [{kind: ServiceAccount, name: client, namespace: client}]
  rules: [{kind: HTTPRouteGroup, name: routes, matches: [public]}]
`

// TestRealDualStack: a service is called by its address of either family, the call goes on to the pod's address of either
// family, and who is who is checked on each.
func TestRealDualStack(t *testing.T) {
	for _, c := range []struct {
		name, server, client string
		allowed              int
	}{
		{"who they say they are", "both.shop.cluster.local", "client.client.cluster.local", 200},
		{"impostor of the server", "shop.shop.cluster.local", "client.client.cluster.local", 503},
		{"a client without a grant", "both.shop.cluster.local", "reader.client.cluster.local", 503},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newRealMeshWith(t, false, bothFamilies)
			serve(t, m.addr("127.0.0.1", "PORT_WEB"))
			m.start(t, "both.shop", c.server)
			m.start(t, "client.client", c.client)
			for _, ip := range []string{"127.0.77.9", "::1"} {
				service := net.JoinHostPort(ip, strconv.Itoa(m.ports["PORT_LIMITS"]))
				for range 20 {
					code, _ := raw(t, service, "GET", "/public/x", "both.shop")
					require.Equal(t, c.allowed, code, ip)
				}
				if c.allowed == 200 {
					code, _ := raw(t, service, "GET", "/exact", "both.shop")
					require.Equal(t, 404, code, "rules are in force by way of %s", ip)
				}
			}
			for _, ip := range []string{"127.0.88.7", "[::1]"} {
				calls, answered := m.sentTo(t, fmt.Sprintf("shop/both|%d::%s:%d::", m.ports["PORT_WEB"], ip, m.ports["PORT_WEB"]))
				require.Positive(t, calls, "calls go on to %s too", ip)
				require.Equal(t, c.allowed == 200, answered > 0, ip)
			}
		})
	}
}

// sentTo tells how many connections the client's sidecar tried to an endpoint, and how many requests that answered.
func (m *realMesh) sentTo(t *testing.T, endpoint string) (calls, answered int) {
	t.Helper()
	resp, err := http.Get("http://" + m.admins["client.client"] + "/clusters")
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	count := func(name string) int {
		found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(endpoint+name+"::") + `(\d+)$`).FindSubmatch(text)
		require.NotNil(t, found, "%s%s\n%s", endpoint, name, text)
		n, err := strconv.Atoi(string(found[1]))
		require.NoError(t, err)
		return n
	}
	return count("cx_total"), count("rq_success")
}
