package pipeline

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/kube/manifests"
	"openservicemesh.io/osm/internal/render"
)

// foreignBase is a mesh of three namespaces; "evil" may write what it likes into its own.
const foreignBase = `
apiVersion: config.openservicemesh.io/v1alpha2
kind: MeshConfig
metadata: {name: osm-mesh-config, namespace: osm-system}
spec: {traffic: {enableEgress: false, enablePermissiveTrafficPolicyMode: PERMISSIVE}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.0.0.10, selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}, {name: tcp-db, port: 5432}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, uid: web, labels: {app: web, osm-proxy-uuid: web}}
spec: {serviceAccountName: web, containers: [{name: app, image: app}]}
status: {phase: Running, podIP: 10.1.0.10, podIPs: [{ip: 10.1.0.10}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: client, uid: client, labels: {app: client, osm-proxy-uuid: client}}
spec: {serviceAccountName: client, containers: [{name: app, image: app}]}
status: {phase: Running, podIP: 10.1.0.20, podIPs: [{ip: 10.1.0.20}]}
---
apiVersion: v1
kind: Service
metadata: {name: evil, namespace: evil}
spec: {clusterIP: 10.0.0.30, selector: {app: evil}, ports: [{name: http, port: 80, targetPort: 8080}, {name: tcp-db, port: 5432}]}
---
apiVersion: v1
kind: Pod
metadata: {name: evil, namespace: evil, uid: evil, labels: {app: evil, osm-proxy-uuid: evil}}
spec: {serviceAccountName: evil, containers: [{name: app, image: app}]}
status: {phase: Running, podIP: 10.1.0.30, podIPs: [{ip: 10.1.0.30}]}
---
apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata: {name: routes, namespace: shop}
spec: {matches: [{name: get, pathRegex: "/get", methods: [GET]}]}
---
apiVersion: specs.smi-spec.io/v1alpha4
kind: TCPRoute
metadata: {name: ports, namespace: shop}
spec: {matches: {ports: [5432]}}
---
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: client, namespace: shop}
spec:
  destination: {kind: ServiceAccount, name: web, namespace: shop}
  sources: [{kind: ServiceAccount, name: client, namespace: client}]
  rules: [{kind: HTTPRouteGroup, name: routes, matches: [get]}, {kind: TCPRoute, name: ports}]
`

// foreignPolicies are what a namespace could write about others. finding is the reason it is told, "" where the object is
// right for its own namespace and says nothing about others.
var foreignPolicies = []struct{ name, finding, text string }{
	{"a target of another's account", "InvalidDestination", `
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: x, namespace: evil}
spec:
  destination: {kind: ServiceAccount, name: web, namespace: shop}
  sources: [{kind: ServiceAccount, name: evil, namespace: evil}, {kind: ServiceAccount, name: client, namespace: client}]
  rules: [{kind: HTTPRouteGroup, name: routes, matches: [get]}]`},
	{"a target of an account of the same name", "RouteGroupNotFound", `
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: x, namespace: evil}
spec:
  destination: {kind: ServiceAccount, name: web, namespace: evil}
  sources: [{kind: ServiceAccount, name: evil, namespace: evil}]
  rules: [{kind: HTTPRouteGroup, name: routes, matches: [get]}]`},
	{"a route group of the same name", "", `
apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata: {name: routes, namespace: evil}
spec: {matches: [{name: get, pathRegex: ".*"}]}`},
	{"a TCP route of the same name", "", `
apiVersion: specs.smi-spec.io/v1alpha4
kind: TCPRoute
metadata: {name: ports, namespace: evil}
spec: {matches: {}}`},
	{"a split of another's service", "InvalidService", `
apiVersion: split.smi-spec.io/v1alpha2
kind: TrafficSplit
metadata: {name: x, namespace: evil}
spec: {service: web.shop.svc.cluster.local, backends: [{service: evil, weight: 100}]}`},
	{"a split of a short name with another's namespace", "InvalidService", `
apiVersion: split.smi-spec.io/v1alpha4
kind: TrafficSplit
metadata: {name: x, namespace: evil}
spec: {service: web.shop, backends: [{service: evil, weight: 100}]}`},
	{"a split over another's service", "InvalidWeights", `
apiVersion: split.smi-spec.io/v1alpha2
kind: TrafficSplit
metadata: {name: x, namespace: evil}
spec: {service: evil, backends: [{service: web.shop, weight: 100}]}`},
	{"settings of another's service", "WrongNamespace", `
apiVersion: policy.openservicemesh.io/v1alpha1
kind: UpstreamTrafficSetting
metadata: {name: x, namespace: evil}
spec:
  host: web.shop.svc.cluster.local
  connectionSettings: {tcp: {maxConnections: 0}, http: {requestTimeout: 1ms}}
  rateLimit: {local: {http: {requests: 1, unit: hour}, tcp: {connections: 1, unit: hour}}}
  outlierDetection: {consecutiveErrors: 1}
  mirror: {service: web}
  faultInjection: {abort: {responseStatusCode: 503}}`},
	{"ingress to another's service", "ServiceNotFound", `
apiVersion: policy.openservicemesh.io/v1alpha1
kind: IngressBackend
metadata: {name: x, namespace: evil}
spec: {backends: [{name: web, port: {number: 8080, protocol: http}}], sources: [{kind: IPRange, name: 0.0.0.0/0}]}`},
	{"egress of another's account", "ForeignSource", `
apiVersion: policy.openservicemesh.io/v1alpha1
kind: Egress
metadata: {name: x, namespace: evil}
spec: {sources: [{kind: ServiceAccount, name: client, namespace: client}], hosts: [evil.example.com], ports: [{number: 80, protocol: http}]}`},
	{"egress with another's routes", "RouteGroupNotFound", `
apiVersion: policy.openservicemesh.io/v1alpha1
kind: Egress
metadata: {name: x, namespace: evil}
spec:
  sources: [{kind: ServiceAccount, name: evil, namespace: evil}]
  hosts: [evil.example.com]
  ports: [{number: 80, protocol: http}]
  matches: [{apiGroup: specs.smi-spec.io/v1alpha4, kind: HTTPRouteGroup, name: routes}]`},
	{"retries of calls between others", "ForeignCall", `
apiVersion: policy.openservicemesh.io/v1alpha1
kind: Retry
metadata: {name: x, namespace: evil}
spec:
  source: {kind: ServiceAccount, name: client, namespace: client}
  destinations: [{kind: Service, name: web, namespace: shop}]
  retryPolicy: {retryOn: 5xx, perTryTimeout: 1s, numRetries: 1000, retryBackoffBaseInterval: 1ms}`},
	{"a MeshConfig of its own", "", `
apiVersion: config.openservicemesh.io/v1alpha2
kind: MeshConfig
metadata: {name: osm-mesh-config, namespace: evil}
spec: {traffic: {enableEgress: true, enablePermissiveTrafficPolicyMode: true}}`},
}

func foreignWorld(t *testing.T, permissive bool, more string) *world {
	t.Helper()
	text := strings.ReplaceAll(foreignBase, "PERMISSIVE", strconv.FormatBool(permissive)) + "---" + more
	r, err := manifests.Read("foreign", strings.NewReader(text), manifests.Options{OSMNamespace: "osm-system"})
	require.NoError(t, err)
	c := &testCase{name: "foreign", snap: r.Snapshot, mesh: render.New(r.Snapshot)}
	c.findings = append(r.Findings, c.mesh.Findings()...)
	return newWorld(t, c)
}

// TestForeignObjectsActNowhere: whatever a namespace writes about others, their sidecars are configured as without it, and
// its author is told.
func TestForeignObjectsActNowhere(t *testing.T) {
	for _, permissive := range []bool{true, false} {
		without := foreignWorld(t, permissive, "\n")
		require.Empty(t, without.findings)
		for _, o := range foreignPolicies {
			t.Run(o.name+" permissive="+strconv.FormatBool(permissive), func(t *testing.T) {
				with := foreignWorld(t, permissive, o.text)
				for _, proxy := range []string{"web.shop", "client.client"} {
					require.Equal(t, without.version(t, proxy), with.version(t, proxy), "%s is configured otherwise", proxy)
				}
				var reasons []string
				for _, f := range with.findings {
					require.Equal(t, "evil", f.Object.Namespace)
					reasons = append(reasons, f.Reason)
				}
				if o.finding == "" {
					require.Empty(t, reasons)
				} else {
					require.Contains(t, reasons, o.finding)
				}
			})
		}
	}
}

func (w *world) version(t *testing.T, proxy string) string {
	t.Helper()
	p, err := w.mesh.Find(proxy)
	require.NoError(t, err)
	return w.view.Config(p.Key).Version
}

// TestForeignServicesTakeNoCalls: a Service can claim any name of its own namespace and, in an EndpointSlice, any address.
// It takes nobody's calls by that, and opens nobody's ports.
func TestForeignServicesTakeNoCalls(t *testing.T) {
	slice := `
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: x, namespace: evil, labels: {kubernetes.io/service-name: x}}
addressType: IPv4
endpoints: [{addresses: [10.1.0.10], conditions: {ready: true}, targetRef: {kind: Pod, name: web, namespace: shop, uid: web}}]
ports: [{name: http, port: 8080, protocol: TCP}]`
	for name, service := range map[string]string{
		"ExternalName to another's service": "{type: ExternalName, externalName: web.shop.svc.cluster.local, ports: [{name: http, port: 80, targetPort: 8080}]}",
		"ExternalName to loopback":          "{type: ExternalName, externalName: localhost, ports: [{name: http, port: 15000}]}",
		"ExternalName to the link":          "{type: ExternalName, externalName: 169.254.169.254, ports: [{name: http, port: 80}]}",
		"headless with another's addresses": "{clusterIP: None, ports: [{name: http, port: 80, targetPort: 8080}]}",
		"addresses of another's pods":       "{clusterIP: 10.0.0.31, ports: [{name: http, port: 80, targetPort: 8080}]}",
		"external addresses of another's":   "{clusterIP: 10.0.0.31, externalIPs: [10.0.0.10], selector: {app: evil}, ports: [{name: http, port: 80, targetPort: 8080}]}",
	} {
		for _, permissive := range []bool{true, false} {
			t.Run(name+" permissive="+strconv.FormatBool(permissive), func(t *testing.T) {
				x := "10.0.0.31:80"
				if strings.Contains(service, "None") {
					x = "10.1.0.10:8080"
				}
				text := "\napiVersion: v1\nkind: Service\nmetadata: {name: x, namespace: evil}\nspec: " + service
				if !strings.Contains(service, "selector") && !strings.Contains(service, "ExternalName") {
					text += slice
				}
				before, w := foreignWorld(t, permissive, "\n"), foreignWorld(t, permissive, text)
				for _, c := range []call{
					{From: "client.client", HTTP: "GET http://web.shop/get"}, {From: "client.client", HTTP: "POST http://web.shop/other"}, {From: "client.client", TCP: "web.shop:5432"},
					{From: "evil.evil", HTTP: "GET http://web.shop/get"}, {From: "evil.evil", TCP: "web.shop:5432"}, {From: "outside", TCP: "web.shop:80"},
					{From: "client.client", HTTP: "GET http://web.shop/get", To: "10.1.0.10:8080"}, {From: "client.client", TCP: "127.0.0.1:15000"}, {From: "client.client", TCP: "169.254.169.254:80"},
				} {
					was, is := before.outcome(t, c), w.outcome(t, c)
					require.Equal(t, was.String(), is.String(), "%+v: %s", c, is.By)
					require.Equal(t, was.Cluster, is.Cluster, "%+v", c)
				}
				if strings.HasSuffix(text, slice) {
					out := w.outcome(t, call{From: "evil.evil", HTTP: "GET http://x.evil/get", To: x})
					require.Contains(t, []string{"refused", "reset", "answered 503"}, out.String(), out.By)
				}
			})
		}
	}
}
