package pipeline

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/core/policy"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// badSpecs are objects that the webhook or the CRD would refuse, or that mean nothing, by kind: the reason that their
// author is told, and the spec. Each is written as if nobody had looked at it.
var badSpecs = map[string][]struct{ reason, spec string }{
	"TrafficTarget": {
		{"InvalidDestination", "{destination: {kind: ServiceAccount, name: web, namespace: elsewhere}, sources: [SRC], rules: [RULE]}"},
		{"InvalidDestination", "{destination: {kind: Group, name: web, namespace: shop}, sources: [SRC], rules: [RULE]}"},
		{"InvalidDestination", "{destination: {kind: ServiceAccount, name: '', namespace: shop}, sources: [SRC], rules: [RULE]}"},
		{"NoSources", "{destination: DST, sources: [], rules: [RULE]}"},
		{"InvalidSource", "{destination: DST, sources: [{kind: User, name: other, namespace: client}], rules: [RULE]}"},
		{"InvalidSource", "{destination: DST, sources: [{kind: ServiceAccount, name: '', namespace: client}], rules: [RULE]}"},
		{"NoRules", "{destination: DST, sources: [SRC], rules: []}"},
		{"UnsupportedRule", "{destination: DST, sources: [SRC], rules: [{kind: GRPCRoute, name: routes, matches: [get]}]}"},
		{"UnsupportedRule", "{destination: DST, sources: [SRC], rules: [{kind: UDPRoute, name: routes}]}"},
		{"RouteGroupNotFound", "{destination: DST, sources: [SRC], rules: [{kind: HTTPRouteGroup, name: nope, matches: [get]}]}"},
		{"MatchNotFound", "{destination: DST, sources: [SRC], rules: [{kind: HTTPRouteGroup, name: routes, matches: [nope]}]}"},
		{"NoMatches", "{destination: DST, sources: [SRC], rules: [{kind: HTTPRouteGroup, name: routes}]}"},
		{"TCPRouteNotFound", "{destination: DST, sources: [SRC], rules: [{kind: TCPRoute, name: nope}]}"},
	},
	"HTTPRouteGroup": {
		{"InvalidMatch", "{matches: [{name: m, pathRegex: '('}]}"},
		{"InvalidMatch", "{matches: [{name: m, pathRegex: '" + strings.Repeat("a", 2000) + "'}]}"},
		{"InvalidMatch", "{matches: [{name: m, pathRegex: '(.{1000}){1000}'}]}"},
		{"InvalidMatch", "{matches: [{name: m, headers: [{'bad name': '.*'}]}]}"},
		{"InvalidMatch", "{matches: [{name: m, headers: [{x-a: '['}]}]}"},
		{"DuplicateMatch", "{matches: [{name: m, pathRegex: /a}, {name: m, pathRegex: .*}]}"},
	},
	"MeshRootCertificate": {
		{"OtherNamespace", "{role: active, provider: {tresor: {ca: {secretRef: {name: bad, namespace: shop}}}}}"},
	},
	"TCPRoute": {
		{"InvalidPort", "{matches: {ports: [0]}}"}, {"InvalidPort", "{matches: {ports: [70000]}}"}, {"InvalidPort", "{matches: {ports: [-1]}}"},
	},
	"TrafficSplit": {
		{"ServiceNotFound", "{service: nope, backends: [{service: web, weight: 1}]}"},
		{"InvalidService", "{service: web.elsewhere, backends: [{service: web, weight: 1}]}"},
		{"InvalidService", "{service: '', backends: [{service: web, weight: 1}]}"},
		{"InvalidWeights", "{service: web, backends: [{service: web, weight: 0}]}"},
		{"InvalidWeights", "{service: web, backends: []}"},
		{"InvalidWeight", "{service: web, backends: [{service: web, weight: -5}]}"},
		{"BackendNotFound", "{service: web, backends: [{service: nope, weight: 1}]}"},
	},
	"Egress": {
		{"InvalidSource", "{sources: [{kind: User, name: client, namespace: shop}], hosts: [a.example.com], ports: [{number: 443, protocol: https}]}"},
		{"ForeignSource", "{sources: [{kind: ServiceAccount, name: client, namespace: client}], hosts: [a.example.com], ports: [{number: 443, protocol: https}]}"},
		{"NoSources", "{sources: [], ports: [{number: 443, protocol: https}]}"},
		{"InvalidHost", "{sources: [ME], hosts: [localhost], ports: [{number: 80, protocol: http}]}"},
		{"InvalidHost", "{sources: [ME], hosts: ['https://a.example.com/'], ports: [{number: 443, protocol: https}]}"},
		{"InvalidHost", "{sources: [ME], hosts: [0x7f.1], ports: [{number: 443, protocol: https}]}"},
		{"InvalidIPRange", "{sources: [ME], ipAddresses: [127.0.0.0/8], ports: [{number: 80, protocol: tcp}]}"},
		{"InvalidIPRange", "{sources: [ME], ipAddresses: [169.254.169.254/32], ports: [{number: 80, protocol: tcp}]}"},
		{"InvalidIPRange", "{sources: [ME], ipAddresses: ['::1/128'], ports: [{number: 80, protocol: tcp}]}"},
		{"InvalidIPRange", "{sources: [ME], ipAddresses: [everything], ports: [{number: 80, protocol: tcp}]}"},
		{"InvalidPort", "{sources: [ME], ports: [{number: 0, protocol: tcp}, {number: 70000, protocol: tcp}]}"},
		{"InvalidPort", "{sources: [ME], ports: [{number: 80, protocol: grpc}]}"},
		{"NoHosts", "{sources: [ME], ports: [{number: 80, protocol: http}]}"},
		{"RouteGroupNotFound", "{sources: [ME], hosts: [a.example.com], ports: [{number: 80, protocol: http}], matches: [{apiGroup: specs.smi-spec.io/v1alpha4, kind: HTTPRouteGroup, name: nope}]}"},
		{"InvalidMatch", "{sources: [ME], hosts: [a.example.com], ports: [{number: 80, protocol: http}], matches: [{apiGroup: v1, kind: Secret, name: x}]}"},
	},
	"IngressBackend": {
		{"InvalidSource", "{backends: [WEB], sources: [{kind: Pod, name: x}]}"},
		{"InvalidSource", "{backends: [WEB], sources: [{kind: IPRange, name: 0.0.0.0}]}"},
		{"InvalidSource", "{backends: [WEB], sources: [{kind: IPRange, name: 0.0.0.0/0}, {kind: AuthenticatedPrincipal, name: ''}]}"},
		{"EndpointsNotFound", "{backends: [WEB], sources: [{kind: Service, name: nope, namespace: client}]}"},
		{"EndpointsNotFound", "{backends: [WEB], sources: [{kind: Service, name: '', namespace: ''}]}"},
		{"InvalidProtocol", "{backends: [{name: web, port: {number: 8080, protocol: grpc}}], sources: [{kind: IPRange, name: 0.0.0.0/0}]}"},
		{"PrincipalsNeedTLS", "{backends: [WEB], sources: [{kind: AuthenticatedPrincipal, name: a.b.cluster.local}]}"},
		{"InvalidHost", "{backends: [{name: web, port: {number: 8080, protocol: https}, tls: {skipClientCertValidation: true, sniHosts: ['*']}}], sources: []}"},
		{"ServiceNotFound", "{backends: [{name: nope, port: {number: 8080, protocol: http}}], sources: [{kind: IPRange, name: 0.0.0.0/0}]}"},
	},
	"Retry": {
		{"InvalidSource", "{source: {kind: User, name: client, namespace: client}, destinations: [TO], retryPolicy: POLICY}"},
		{"InvalidSource", "{source: {kind: ServiceAccount, name: '', namespace: ''}, destinations: [TO], retryPolicy: POLICY}"},
		{"InvalidDestination", "{source: FROM, destinations: [{kind: Pod, name: web, namespace: shop}], retryPolicy: POLICY}"},
		{"NoDestinations", "{source: FROM, destinations: [], retryPolicy: POLICY}"},
		{"InvalidRetryPolicy", "{source: FROM, destinations: [TO], retryPolicy: {retryOn: whenever, perTryTimeout: 1s, numRetries: 1, retryBackoffBaseInterval: 1s}}"},
		{"InvalidRetryPolicy", "{source: FROM, destinations: [TO], retryPolicy: {retryOn: 5xx, perTryTimeout: 1s, numRetries: -1, retryBackoffBaseInterval: 1s}}"},
		{"InvalidRetryPolicy", "{source: FROM, destinations: [TO], retryPolicy: {retryOn: 5xx, perTryTimeout: soon, numRetries: 1, retryBackoffBaseInterval: 1s}}"},
		{"InvalidRetryPolicy", "{source: FROM, destinations: [TO], retryPolicy: {retryOn: 5xx, perTryTimeout: 1000h, numRetries: 1, retryBackoffBaseInterval: 1s}}"},
	},
	"UpstreamTrafficSetting": {
		{"Invalid", "{host: web}"}, {"Invalid", "{host: 'http://web.shop.svc.cluster.local'}"},
		{"WrongNamespace", "{host: evil.evil.svc.cluster.local, connectionSettings: {tcp: {maxConnections: 0}}}"},
		{"Invalid", "{host: HOST, connectionSettings: {tcp: {maxConnections: -1}}}"},
		{"Invalid", "{host: HOST, connectionSettings: {tcp: {connectTimeout: never}}}"},
		{"Invalid", "{host: HOST, rateLimit: {local: {tcp: {connections: 1, unit: day}}}}"},
		{"Invalid", "{host: HOST, rateLimit: {local: {tcp: {connections: 0, unit: second}}}}"},
		{"Invalid", "{host: HOST, rateLimit: {local: {http: {requests: 1, unit: second, responseStatusCode: 200}}}}"},
		{"Invalid", "{host: HOST, rateLimit: {local: {http: {requests: 1, unit: second, responseHeadersToAdd: [{name: ':status', value: '200'}]}}}}"},
		{"Invalid", "{host: HOST, rateLimit: {global: {tcp: {domain: d, descriptors: [{entries: [{key: k, value: v}]}]}}}}"},
		{"Invalid", "{host: HOST, httpRoutes: [{path: '', rateLimit: {local: {requests: 1, unit: second}}}]}"},
	},
}

var badWords = strings.NewReplacer(
	"DST", "{kind: ServiceAccount, name: web, namespace: shop}", "SRC", "{kind: ServiceAccount, name: other, namespace: client}", "RULE", "{kind: HTTPRouteGroup, name: routes, matches: [get]}",
	"ME", "{kind: ServiceAccount, name: web, namespace: shop}", "WEB", "{name: web, port: {number: 8080, protocol: http}}",
	"FROM", "{kind: ServiceAccount, name: client, namespace: client}", "TO", "{kind: Service, name: web, namespace: shop}",
	"POLICY", "{retryOn: 5xx, perTryTimeout: 1s, numRetries: 9, retryBackoffBaseInterval: 1ms}", "HOST", "web.shop.svc.cluster.local")

// anotherClient has no grant in foreignBase.
const anotherClient = `
apiVersion: v1
kind: Pod
metadata: {name: other, namespace: client, uid: other, labels: {app: other, osm-proxy-uuid: other}}
spec: {serviceAccountName: other, containers: [{name: app, image: app}]}
status: {phase: Running, podIP: 10.1.0.21, podIPs: [{ip: 10.1.0.21}]}
---`

// TestBadObjectsAreIgnoredAlone: an object that slips through admission gets a finding, changes no sidecar, and so admits
// nobody who was not admitted without it and takes nothing from anybody who was.
func TestBadObjectsAreIgnoredAlone(t *testing.T) {
	proxies := []string{"web.shop", "client.client", "other.client", "evil.evil"}
	for _, permissive := range []bool{false, true} {
		without := foreignWorld(t, permissive, anotherClient+"\n")
		require.Empty(t, without.findings)
		if !permissive {
			require.Equal(t, "answered 200", without.outcome(t, call{From: "client.client", HTTP: "GET http://web.shop/get"}).String())
			require.Equal(t, "refused", without.outcome(t, call{From: "other.client", HTTP: "GET http://web.shop/get"}).String())
		}
		for _, k := range policy.Kinds() {
			list := badSpecs[k.Name]
			if !k.Acts {
				list = append(list, struct{ reason, spec string }{"NotSupported", ""})
			}
			require.NotEmpty(t, list, "%s has no bad object in the table", k.Name)
			for i, bad := range list {
				t.Run(fmt.Sprintf("%s %d %s permissive=%v", k.Name, i, bad.reason, permissive), func(t *testing.T) {
					text := "\napiVersion: " + k.Resource.GroupVersion().String() + "\nkind: " + k.Name + "\nmetadata: {name: bad, namespace: shop}\n"
					if bad.spec != "" {
						text += "spec: " + badWords.Replace(bad.spec)
					}
					with := foreignWorld(t, permissive, anotherClient+text)
					requireFinding(t, with.findings, k.Name, bad.reason)
					for _, p := range proxies {
						require.Equal(t, without.version(t, p), with.version(t, p), "%s is configured otherwise", p)
					}
				})
			}
		}
	}
}

func requireFinding(t *testing.T, findings []snapshot.Finding, kind, reason string) {
	t.Helper()
	var got []string
	for _, f := range findings {
		require.Equal(t, snapshot.ObjectRef{Kind: kind, Namespace: "shop", Name: "bad"}, f.Object)
		require.NotEmpty(t, f.Message)
		got = append(got, f.Reason)
	}
	require.Contains(t, got, reason, strconv.Itoa(len(findings))+" findings")
}
