package plan

import (
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	policyv1 "openservicemesh.io/osm/api/policy/v1alpha1"
	access "openservicemesh.io/osm/api/smi/access/v1alpha3"
	specs "openservicemesh.io/osm/api/smi/specs/v1alpha4"
	split "openservicemesh.io/osm/api/smi/split/v1alpha2"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/snapshot"
)

func inShop(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "shop", Name: name}
}

// everyKind has an object of every kind that shapes configuration of web and its client.
func everyKind(p *snapshot.Parts) {
	p.Mesh.Permissive, p.Mesh.Namespace = false, "osm-system"
	account := func(ns, name string) access.IdentityBindingSubject {
		return access.IdentityBindingSubject{Kind: access.KindServiceAccount, Namespace: ns, Name: name}
	}
	p.Policies = snapshot.NewPolicies(map[string][]snapshot.Object{
		"HTTPRouteGroup": {
			&specs.HTTPRouteGroup{ObjectMeta: inShop("g"), Spec: specs.HTTPRouteGroupSpec{Matches: []specs.HTTPMatch{{Name: "m"}}}},
			&specs.HTTPRouteGroup{ObjectMeta: inShop("other"), Spec: specs.HTTPRouteGroupSpec{Matches: []specs.HTTPMatch{{Name: "m"}}}},
		},
		"TrafficTarget": {&access.TrafficTarget{ObjectMeta: inShop("t"), Spec: access.TrafficTargetSpec{
			Destination: account("shop", "web"), Sources: []access.IdentityBindingSubject{account("client", "c")},
			Rules: []access.TrafficTargetRule{{Kind: access.KindHTTPRouteGroup, Name: "g", Matches: []string{"m"}}}}}},
		"TrafficSplit": {&split.TrafficSplit{ObjectMeta: inShop("s"), Spec: split.TrafficSplitSpec{
			Service: "web", Backends: []split.TrafficSplitBackend{{Service: "web", Weight: 1}}}}},
		"UpstreamTrafficSetting": {&policyv1.UpstreamTrafficSetting{ObjectMeta: inShop("u"), Spec: policyv1.UpstreamTrafficSettingSpec{Host: "web.shop.svc.cluster.local"}}},
		"Retry": {&policyv1.Retry{ObjectMeta: metav1.ObjectMeta{Namespace: "client", Name: "r"}, Spec: policyv1.RetrySpec{
			Source:       policyv1.RetrySource{Kind: "ServiceAccount", Namespace: "client", Name: "c"},
			Destinations: []policyv1.RetryDestination{{Kind: "Service", Namespace: "shop", Name: "web"}}, RetryPolicy: policyv1.RetryPolicySpec{RetryOn: "5xx"}}}},
		"IngressBackend": {&policyv1.IngressBackend{ObjectMeta: inShop("i"), Spec: policyv1.IngressBackendSpec{
			Backends: []policyv1.IngressBackendService{{Name: "web", Port: policyv1.IngressPort{Number: 8080, Protocol: "http"}}},
			Sources:  []policyv1.IngressSource{{Kind: "IPRange", Name: "10.0.0.0/8"}}}}},
		"Egress": {&policyv1.Egress{ObjectMeta: metav1.ObjectMeta{Namespace: "client", Name: "e"}, Spec: policyv1.EgressSpec{
			Sources: []policyv1.EgressSource{{Kind: "ServiceAccount", Namespace: "client", Name: "c"}}, Hosts: []string{"a.example"},
			Ports: []policyv1.EgressPort{{Number: 80, Protocol: "http"}}}}},
	})
}

func TestShaped(t *testing.T) {
	p := world(everyKind, snapshot.ServicePort{Port: 80, TargetPort: 8080, Protocol: meshid.HTTP})
	require.Empty(t, p.Findings())
	for _, c := range []struct {
		proxy int
		kind  Resource
		name  string
		words string
		want  []string
	}{
		{client, ResourceRouteConfig, "rds-outbound.80", "", []string{"MeshConfig osm-system/", "Retry client/r", "Service shop/web", "TrafficSplit shop/s", "TrafficTarget shop/t", "UpstreamTrafficSetting shop/u"}},
		{client, ResourceRouteConfig, "rds-egress.80", "", []string{"Egress client/e", "MeshConfig osm-system/"}},
		{client, ResourceListener, "outbound-listener", "error adding filter chain egress-http.80: no", []string{"Egress client/e", "MeshConfig osm-system/"}},
		{client, ResourceListener, "outbound-listener", "", []string{
			"Egress client/e", "MeshConfig osm-system/", "Retry client/r", "Service shop/web", "TrafficSplit shop/s", "TrafficTarget shop/t", "UpstreamTrafficSetting shop/u"}},
		{client, ResourceCluster, "shop/web|8080", "", []string{"Service shop/web", "UpstreamTrafficSetting shop/u"}},
		{client, ResourceCluster, "a.example:80", "", []string{"Egress client/e"}},
		{client, ResourceTrust, "root-cert-for-mtls-outbound", "", nil},
		{server, ResourceRouteConfig, "rds-inbound.8080", "", []string{
			"HTTPRouteGroup shop/g", "MeshConfig osm-system/", "Service shop/web", "TrafficSplit shop/s", "TrafficTarget shop/t", "UpstreamTrafficSetting shop/u"}},
		{server, ResourceRouteConfig, "rds-ingress", "", []string{"IngressBackend shop/i", "MeshConfig osm-system/", "Service shop/web", "UpstreamTrafficSetting shop/u"}},
		{server, ResourceCluster, "shop/web|8080|local", "", []string{"Service shop/web", "UpstreamTrafficSetting shop/u"}},
		{server, ResourceCluster, "no such cluster", "", nil},
	} {
		var got []string
		for _, ref := range p.Shaped(p.KeyOf(p.Snapshot().Pods[c.proxy]), c.kind, c.name, c.words) {
			got = append(got, ref.String())
		}
		require.Equal(t, c.want, got, "%s %s", c.kind, c.name)
	}
}

// TestAPodsOwnNameIsItsServices: parts about pods with names of their own are about their Service.
func TestAPodsOwnNameIsItsServices(t *testing.T) {
	p := world(set, db)
	got := p.Shaped(p.KeyOf(p.Snapshot().Pods[client]), ResourceCluster, "shop/web-0.web|5432", "")
	require.Equal(t, []snapshot.ObjectRef{{Kind: "Service", Namespace: "shop", Name: "web"}}, got)
}
