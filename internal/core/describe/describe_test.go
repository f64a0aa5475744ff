package describe

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/plan"
	"openservicemesh.io/osm/internal/core/snapshot"
	"openservicemesh.io/osm/internal/kube/manifests"
)

const objects = `
apiVersion: config.openservicemesh.io/v1alpha2
kind: MeshConfig
metadata: {name: osm-mesh-config, namespace: osm-system}
spec: {traffic: {enableEgress: EGRESS, enablePermissiveTrafficPolicyMode: PERMISSIVE}, certificate: {serviceCertValidityDuration: 24h, certKeyBitSize: 2048}}
---
apiVersion: v1
kind: Pod
metadata: {name: buyer, namespace: buyer}
spec: {serviceAccountName: buyer, containers: [{name: app}]}
---
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: shop}
spec: {selector: {app: shop}, ports: [{name: http, port: 80, targetPort: 8080}, {name: tcp-db, port: 5432}]}
---
apiVersion: v1
kind: Service
metadata: {name: shop-v2, namespace: shop}
spec: {selector: {app: shop2}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: shop, namespace: shop, labels: {app: shop}}
spec: {serviceAccountName: shop, containers: [{name: app}]}
---
apiVersion: v1
kind: Pod
metadata: {name: shop2, namespace: shop, labels: {app: shop2}}
spec: {serviceAccountName: shop, containers: [{name: app}]}
---
apiVersion: split.smi-spec.io/v1alpha2
kind: TrafficSplit
metadata: {name: s, namespace: shop}
spec: {service: shop.shop, backends: [{service: shop, weight: 25}, {service: shop-v2, weight: 75}]}
---
apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata: {name: books, namespace: shop}
spec: {matches: [{name: read, pathRegex: /books, methods: [GET], headers: [{client: a.*}]}]}
---
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: readers, namespace: shop}
spec:
  destination: {kind: ServiceAccount, name: shop, namespace: shop}
  rules: [{kind: HTTPRouteGroup, name: books, matches: [read]}]
  sources: [{kind: ServiceAccount, name: buyer, namespace: buyer}]
`

func planner(t *testing.T, egress, permissive string) *plan.Planner {
	t.Helper()
	text := strings.NewReplacer("EGRESS", egress, "PERMISSIVE", permissive).Replace(objects)
	read, err := manifests.Read("test", strings.NewReader(text), manifests.Options{Inject: true})
	require.NoError(t, err)
	return plan.New(read.Snapshot)
}

func pod(t *testing.T, s *snapshot.Snapshot, name string) *snapshot.Pod {
	t.Helper()
	for _, p := range s.Pods {
		if p.ID.Name == name {
			return p
		}
	}
	require.Fail(t, name)
	return nil
}

func TestPod(t *testing.T) {
	p := planner(t, "false", "false")
	d := OfPod(p, pod(t, p.Snapshot(), "buyer"))
	require.Equal(t, "buyer.buyer.cluster.local", d.Certificate)
	require.True(t, d.Sidecar)
	require.False(t, d.Passthrough)
	require.Empty(t, d.Answers)
	var names []string
	for _, to := range d.MayCall {
		names = append(names, to.Name+" "+to.Protocol)
		if to.Name == "shop/shop" && to.Port == 80 {
			require.Equal(t, []Share{{"shop/shop|8080", 25}, {"shop/shop-v2|8080", 75}}, to.Shares)
		}
	}
	require.ElementsMatch(t, []string{"shop/shop http", "shop/shop tcp", "shop/shop-v2 http"}, names)

	d = OfPod(p, pod(t, p.Snapshot(), "shop"))
	require.Empty(t, d.MayCall)
	require.Equal(t, []string{"shop/shop"}, d.Services)
	for _, a := range d.Answers {
		require.False(t, a.Anybody)
		require.Len(t, a.Callers, 1)
		require.Equal(t, "shop/readers", a.Callers[0].Policy)
		require.Equal(t, []string{"buyer.buyer.cluster.local"}, a.Callers[0].Principals)
		if a.Protocol == "http" {
			require.Equal(t, []string{"GET /books with header client=a.*"}, a.Callers[0].Requests)
		}
	}
	require.Len(t, d.Answers, 2)
}

func TestPermissive(t *testing.T) {
	p := planner(t, "true", "true")
	d := OfPod(p, pod(t, p.Snapshot(), "shop"))
	require.True(t, d.Passthrough)
	require.NotEmpty(t, d.MayCall)
	for _, a := range d.Answers {
		require.True(t, a.Anybody)
	}
}

func TestService(t *testing.T) {
	p := planner(t, "false", "false")
	s := OfService(p, p.Snapshot().Service(meshid.Service{Namespace: "shop", Name: "shop"}))
	require.Equal(t, []string{"80 → 8080 (http)", "5432 → 5432 (tcp)"}, s.Ports)
	require.Equal(t, []string{"shop/shop"}, s.Pods)
	require.Equal(t, []string{"shop.shop"}, s.Identities)
	require.Equal(t, []string{"shop/shop", "shop/shop-v2"}, s.Split)
	require.Len(t, s.Answers, 2)
}

func TestTarget(t *testing.T) {
	p := planner(t, "false", "false")
	require.Nil(t, TargetNamed(p.Snapshot(), "buyer", "readers"))
	d := OfTarget(p, TargetNamed(p.Snapshot(), "shop", "readers"))
	require.True(t, d.Enforced)
	require.Equal(t, Party{Identity: "shop.shop", Certificate: "shop.shop.cluster.local", Pods: []string{"shop/shop", "shop/shop2"}}, d.Destination)
	require.Equal(t, []Party{{Identity: "buyer.buyer", Certificate: "buyer.buyer.cluster.local", Pods: []string{"buyer/buyer"}}}, d.Sources)
	require.Equal(t, []string{"HTTPRouteGroup books [read]"}, d.Rules)
	var opens []string
	for _, o := range d.Opens {
		require.Len(t, o.Callers, 1)
		require.Equal(t, "shop/readers", o.Callers[0].Policy)
		opens = append(opens, o.Service+" "+o.Protocol)
	}
	require.ElementsMatch(t, []string{"shop/shop http", "shop/shop tcp", "shop/shop-v2 http"}, opens)

	d = OfTarget(planner(t, "false", "true"), TargetNamed(p.Snapshot(), "shop", "readers"))
	require.False(t, d.Enforced)
	require.Empty(t, d.Opens)
}
