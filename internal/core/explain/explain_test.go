package explain_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"openservicemesh.io/osm/internal/core/explain"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/sim"
	"openservicemesh.io/osm/internal/core/snapshot"
	"openservicemesh.io/osm/internal/kube/manifests"
	"openservicemesh.io/osm/internal/pipeline"
)

const config = `
apiVersion: config.openservicemesh.io/v1alpha2
kind: MeshConfig
metadata: {name: osm-mesh-config, namespace: osm-system}
spec: {traffic: {enableEgress: false, enablePermissiveTrafficPolicyMode: false}, certificate: {serviceCertValidityDuration: 24h, certKeyBitSize: 2048}}
`

// apps are two callers and a shop of two service accounts, a store behind it and a Service without pods.
const apps = `
---
apiVersion: v1
kind: Pod
metadata: {name: buyer, namespace: buyer, labels: {app: buyer, osm-proxy-uuid: a}}
spec: {serviceAccountName: buyer, containers: [{name: app}]}
---
apiVersion: v1
kind: Pod
metadata: {name: plain, namespace: buyer, labels: {app: plain}}
spec: {serviceAccountName: plain, containers: [{name: app}]}
---
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: shop}
spec: {selector: {app: shop}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: shop, namespace: shop, labels: {app: shop, osm-proxy-uuid: b}}
spec: {serviceAccountName: shop, containers: [{name: app}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {selector: {app: db}, ports: [{name: tcp, port: 5432}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db, osm-proxy-uuid: c}}
spec: {serviceAccountName: db, containers: [{name: app}]}
---
apiVersion: v1
kind: Service
metadata: {name: empty, namespace: shop}
spec: {selector: {app: nobody}, ports: [{name: http, port: 80}]}
`

const grant = `
---
apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata: {name: books, namespace: shop}
spec: {matches: [{name: read, pathRegex: /books, methods: [GET]}]}
---
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: readers, namespace: shop}
spec:
  destination: {kind: ServiceAccount, name: shop, namespace: shop}
  rules: [{kind: HTTPRouteGroup, name: books, matches: [read]}]
  sources: [{kind: ServiceAccount, name: buyer, namespace: buyer}]
`

func mesh(t *testing.T, more ...string) *explain.Mesh {
	t.Helper()
	read, err := manifests.Read("test", strings.NewReader(config+apps+strings.Join(more, "")), manifests.Options{})
	require.NoError(t, err)
	view, err := pipeline.New([]byte("roots")).Apply(read.Snapshot, snapshot.Changed{Config: true})
	require.NoError(t, err)
	return explain.New(view)
}

var buyer = meshid.Pod{Namespace: "buyer", Name: "buyer"}

func get(path string) *sim.Request {
	return &sim.Request{Method: "GET", Path: path, Headers: map[string]string{}}
}

func TestExplain(t *testing.T) {
	tests := map[string]struct {
		more    string
		q       explain.Question
		ends    string
		allowed bool
		says    []string
		kinds   []string // of the policy offered
	}{
		"nothing granted": {"", explain.Question{From: buyer, Host: "shop.shop", Port: 80, HTTP: get("/books")}, "refused", false,
			[]string{"no TrafficTarget lets service account buyer.buyer call service account shop.shop",
				"the caller's sidecar may call nothing at all, so it does not listen, and the kernel refuses the connection"},
			[]string{"HTTPRouteGroup", "TrafficTarget"}},
		"granted": {grant, explain.Question{From: buyer, Host: "shop.shop.svc.cluster.local", Port: 80, HTTP: get("/books?page=2")}, "answered 200", true,
			[]string{"TrafficTarget shop/readers lets buyer.buyer call shop.shop"}, nil},
		"another path": {grant, explain.Question{From: buyer, Host: "shop.shop", Port: 80, HTTP: get("/till")}, "answered 404", false,
			[]string{"TrafficTarget shop/readers lets buyer.buyer call shop.shop, but only for GET /books",
				"the server's sidecar answers 404, because no route that anybody may call fits the request"},
			[]string{"HTTPRouteGroup", "TrafficTarget"}},
		"a database": {grant, explain.Question{From: buyer, Host: "db.shop", Port: 5432}, "reset", false,
			[]string{"no TrafficTarget lets service account buyer.buyer call service account db.shop",
				"the caller's sidecar takes the connection and closes it, because the destination is not among those it may call"},
			[]string{"TCPRoute", "TrafficTarget"}},
		"no such port": {grant, explain.Question{From: buyer, Host: "shop.shop", Port: 81}, "reset", false,
			[]string{"service shop/shop has no port 81; it has 80 (http)"}, nil},
		"out of the mesh": {grant, explain.Question{From: buyer, Host: "api.example.com", Port: 443, TLS: true}, "reset", false,
			[]string{"api.example.com is not in the mesh, egress is off (MeshConfig spec.traffic.enableEgress), and no Egress policy of service account buyer.buyer names it"},
			[]string{"Egress"}},
		"out to where nobody may go": {grant, explain.Question{From: buyer, Host: "127.0.0.1", Port: 80}, "reset", false,
			[]string{`no Egress may name it: spec.ipAddresses[0]: "127.0.0.1/32" is loopback and refused`}, nil},
		"no sidecar": {grant, explain.Question{From: meshid.Pod{Namespace: "buyer", Name: "plain"}, Host: "shop.shop", Port: 80, HTTP: get("/books")}, "reset", false,
			[]string{"pod buyer/plain has no sidecar, and pods of the mesh take connections of sidecars only", "restart the pod so that it gets a sidecar"}, nil},
		"of no mesh": {grant, explain.Question{From: meshid.Pod{Namespace: "elsewhere", Name: "x"}, Host: "shop.shop", Port: 80, HTTP: get("/books")}, "reset", false,
			[]string{"osm namespace add elsewhere"}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			v, err := mesh(t, tt.more).Explain(tt.q)
			require.NoError(t, err)
			require.Equal(t, tt.ends, v.Ends)
			require.Equal(t, tt.allowed, v.Allowed)
			said := strings.Join(append(v.Because, v.Missing...), "\n")
			for _, s := range tt.says {
				require.Contains(t, said, s)
			}
			var kinds []string
			for _, o := range v.Policy {
				kinds = append(kinds, o.GetObjectKind().GroupVersionKind().Kind)
			}
			require.Equal(t, tt.kinds, kinds)
		})
	}
}

// The policy that is offered grants this one request, and has a name of its own.
func TestPolicyIsSmall(t *testing.T) {
	v, err := mesh(t, grant).Explain(explain.Question{From: buyer, Host: "shop.shop", Port: 80, HTTP: get("/till.new?x=1")})
	require.NoError(t, err)
	var text strings.Builder
	for _, o := range v.Policy {
		y, err := yaml.Marshal(o)
		require.NoError(t, err)
		text.Write(y)
	}
	require.Equal(t, `apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata:
  name: buyer-buyer-to-shop
  namespace: shop
spec:
  matches:
  - methods:
    - GET
    name: call
    pathRegex: /till\.new
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata:
  name: buyer-buyer-to-shop
  namespace: shop
spec:
  destination:
    kind: ServiceAccount
    name: shop
    namespace: shop
  rules:
  - kind: HTTPRouteGroup
    matches:
    - call
    name: buyer-buyer-to-shop
  sources:
  - kind: ServiceAccount
    name: buyer
    namespace: buyer
`, text.String())
}

// A split has as many ways as backends that get a share, and the policy covers each that lacks one.
func TestSplit(t *testing.T) {
	const split = `
---
apiVersion: v1
kind: Service
metadata: {name: shop-v2, namespace: shop}
spec: {selector: {app: shop2}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: shop2, namespace: shop, labels: {app: shop2, osm-proxy-uuid: d}}
spec: {serviceAccountName: shop2, containers: [{name: app}]}
---
apiVersion: split.smi-spec.io/v1alpha2
kind: TrafficSplit
metadata: {name: s, namespace: shop}
spec: {service: shop.shop, backends: [{service: shop, weight: 25}, {service: shop-v2, weight: 75}]}
`
	v, err := mesh(t, grant, split).Explain(explain.Question{From: buyer, Host: "shop.shop", Port: 80, HTTP: get("/books")})
	require.NoError(t, err)
	require.False(t, v.Allowed)
	require.Len(t, v.Ways, 2)
	require.Equal(t, []float64{25, 75}, []float64{v.Ways[0].Percent, v.Ways[1].Percent})
	require.Equal(t, []string{"answered 200", "answered 503"}, []string{v.Ways[0].Ends, v.Ways[1].Ends})
	require.Contains(t, v.Missing[0], "no TrafficTarget lets service account buyer.buyer call service account shop2.shop")
	require.Len(t, v.Policy, 2)
}

func TestPermissive(t *testing.T) {
	open := strings.Replace(config+apps, "enablePermissiveTrafficPolicyMode: false", "enablePermissiveTrafficPolicyMode: true", 1)
	read, err := manifests.Read("test", strings.NewReader(open), manifests.Options{})
	require.NoError(t, err)
	view, err := pipeline.New([]byte("roots")).Apply(read.Snapshot, snapshot.Changed{Config: true})
	require.NoError(t, err)
	m := explain.New(view)
	v, err := m.Explain(explain.Question{From: buyer, Host: "shop.shop", Port: 80})
	require.NoError(t, err)
	require.True(t, v.Allowed)
	require.Contains(t, v.Because[0], "permissive mode is on")
	v, err = m.Explain(explain.Question{From: buyer, Host: "empty.shop", Port: 80})
	require.NoError(t, err)
	require.Equal(t, "answered 503", v.Ends)
	require.Contains(t, v.Missing[0], "the selector of service shop/empty fits no pod")
	require.Empty(t, v.Policy)
}

func TestQuestionsThatCannotBeAnswered(t *testing.T) {
	for host, want := range map[string]string{
		"shop.elsewhere.svc.cluster.local": "the mesh has no such Service",
		"x.shop.shop":                      "has no ready pod of the name x",
	} {
		_, err := mesh(t).Explain(explain.Question{From: buyer, Host: host, Port: 80})
		require.ErrorContains(t, err, want, host)
	}
}
