package validate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	admissionregv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	"sigs.k8s.io/yaml"

	config "openservicemesh.io/osm/api/config/v1alpha2"
	policyv1 "openservicemesh.io/osm/api/policy/v1alpha1"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/snapshot"
	"openservicemesh.io/osm/internal/webhook/announce"
)

func review(t *testing.T, op admissionv1.Operation, kind, name, spec string) *admissionv1.AdmissionResponse {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(fmt.Sprintf("kind: %s\nmetadata: {namespace: shop, name: %s}\nspec: %s\n", kind, name, spec)))
	require.NoError(t, err)
	v := Validator{Policies: existing, Service: func(id meshid.Service) bool { return id == meshid.Service{Namespace: "client", Name: "desk"} }}
	return v.Review(t.Context(), &admissionv1.AdmissionRequest{
		Operation: op, Namespace: "shop", Name: name, Kind: metav1.GroupVersionKind{Kind: kind}, Object: runtime.RawExtension{Raw: raw},
	})
}

// existing is an IngressBackend for port 80 of cart, once in each of two namespaces, and a setting for cart.
func existing() snapshot.Policies {
	backend := func(ns string) snapshot.Object {
		return &policyv1.IngressBackend{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "old"},
			Spec: policyv1.IngressBackendSpec{Backends: []policyv1.IngressBackendService{{Name: "cart", Port: policyv1.IngressPort{Number: 80, Protocol: "http"}}}}}
	}
	setting := &policyv1.UpstreamTrafficSetting{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "old"},
		Spec: policyv1.UpstreamTrafficSettingSpec{Host: "cart.shop.svc.cluster.local"}}
	return snapshot.Policies{
		"IngressBackend":         {backend("shop"), backend("elsewhere")},
		"UpstreamTrafficSetting": {setting},
	}
}

func TestMessages(t *testing.T) {
	source := func(s string) string {
		return "{backends: [{name: x, port: {number: 1, protocol: http}}], sources: [" + s + "]}"
	}
	https := func(tls, sources string) string {
		return "{backends: [{name: x, port: {number: 1, protocol: https}" + tls + "}], sources: [" + sources + "]}"
	}
	needsPrincipal := "HTTPS ingress with client certificate validation enabled must specify at least one 'AuthenticatedPrincipal` source"
	tests := []struct{ name, kind, spec, want string }{
		{"target in its namespace", "TrafficTarget", "{destination: {namespace: shop}}", ""},
		{"target elsewhere", "TrafficTarget", "{destination: {namespace: other}}", "The traffic target namespace (shop) must match spec.Destination.Namespace (other)"},

		{"ingress", "IngressBackend", source("{kind: Service, name: nginx, namespace: ingress}, {kind: IPRange, name: 10.0.0.0/8}, {kind: IPRange, name: 'fd00::/8'}"), ""},
		{"ingress twice", "IngressBackend", "{backends: [{name: x, port: {number: 1, protocol: http}}, {name: x, port: {number: 1, protocol: http}}]}",
			"Duplicate backends detected with service name: x and port: 1"},
		{"ingress of another object", "IngressBackend", "{backends: [{name: cart, port: {number: 80, protocol: http}}]}",
			"duplicate backends detected\n[+] IngressBackend shop/new conflicts with shop/old:\nBackend cart specified in new and old conflicts\n"},
		{"ingress, another port", "IngressBackend", "{backends: [{name: cart, port: {number: 81, protocol: http}}]}", ""},
		{"ingress protocol", "IngressBackend", "{backends: [{name: x, port: {number: 1, protocol: grpc}}]}", "Expected 'port.protocol' to be 'http' or 'https', got: grpc"},
		{"https, validated, no principal", "IngressBackend", https("", "{kind: IPRange, name: 10.0.0.0/8}"), needsPrincipal},
		{"https, validated explicitly", "IngressBackend", https(", tls: {skipClientCertValidation: false}", ""), needsPrincipal},
		{"https, validated, principal", "IngressBackend", https("", "{kind: AuthenticatedPrincipal, name: a.b.c}"), ""},
		{"https, not validated", "IngressBackend", https(", tls: {skipClientCertValidation: true}", ""), ""},
		{"service without name", "IngressBackend", source("{kind: Service, namespace: a}"), "'source.name' not specified for source kind Service"},
		{"service without namespace", "IngressBackend", source("{kind: Service, name: a}"), "'source.namespace' not specified for source kind Service"},
		{"principal without name", "IngressBackend", source("{kind: AuthenticatedPrincipal}"), "'source.name' not specified for source kind AuthenticatedPrincipal"},
		{"no range", "IngressBackend", source("{kind: IPRange, name: 10.0.0.1}"), "Invalid 'source.name' value specified for IPRange. Expected CIDR notation 'a.b.c.d/x', got '10.0.0.1'"},
		{"odd source", "IngressBackend", source("{kind: Pod, name: a}"), "Invalid 'source.kind' value specified. Must be one of: Service, AuthenticatedPrincipal, IPRange"},

		{"egress", "Egress", "{matches: [{apiGroup: specs.smi-spec.io/v1alpha4, kind: HTTPRouteGroup, name: r}, {apiGroup: policy.openservicemesh.io/v1alpha1, kind: UpstreamTrafficSetting, name: u}]}", ""},
		{"egress host", "Egress", "{hosts: [www.example.com, '*.example.org', 203.0.113.1], ipAddresses: [203.0.113.0/24, '2001:db8::/32', 0.0.0.0/0]}", ""},
		{"egress to itself", "Egress", "{hosts: [www.example.com, localhost]}", `spec.hosts[1]: "localhost" names the pod or its node and is refused; an Egress is for hosts outside of the cluster`},
		{"egress to the link", "Egress", "{hosts: [169.254.169.254]}", `spec.hosts[0]: "169.254.169.254" is link-local and refused; an Egress is for hosts outside of the cluster`},
		{"egress to a loopback range", "Egress", "{ipAddresses: [127.0.0.0/16]}", `spec.ipAddresses[0]: "127.0.0.0/16" is loopback and refused; an Egress is for hosts outside of the cluster`},
		{"egress to a URL", "Egress", "{hosts: ['https://www.example.com/']}", `spec.hosts[0]: "https://www.example.com/" is not a host name; write a name such as www.example.com, without scheme, port and path`},
		{"egress to no range", "Egress", "{ipAddresses: [203.0.113.1]}", `spec.ipAddresses[0]: "203.0.113.1" is not a CIDR; write an address and a number of bits, such as 203.0.113.0/24`},
		{"egress kind", "Egress", "{matches: [{apiGroup: specs.smi-spec.io/v1alpha4, kind: TCPRoute, name: r}]}", "Expected 'matches.kind' for match 'r' to be 'HTTPRouteGroup', got: TCPRoute"},
		{"egress kind of ours", "Egress", "{matches: [{apiGroup: policy.openservicemesh.io/v1alpha1, kind: Retry, name: u}]}", "Expected 'matches.kind' for match 'u' to be 'UpstreamTrafficSetting', got: Retry"},
		{"egress group", "Egress", "{matches: [{apiGroup: v1, kind: Service, name: s}]}", "Expected 'matches.apiGroup' to be one of [specs.smi-spec.io/v1alpha4 policy.openservicemesh.io/v1alpha1], got: v1"},
		{"egress settings", "Egress", "{matches: [{apiGroup: policy.openservicemesh.io/v1alpha1, kind: UpstreamTrafficSetting, name: u}, {apiGroup: policy.openservicemesh.io/v1alpha1, kind: UpstreamTrafficSetting, name: v}]}",
			"Cannot have more than 1 UpstreamTrafficSetting match"},

		{"setting", "UpstreamTrafficSetting", "{host: desk.shop.svc.cluster.local, rateLimit: {local: {http: {requests: 1, unit: second, responseStatusCode: 503}}}}", ""},
		{"setting elsewhere", "UpstreamTrafficSetting", "{host: desk.client.svc.cluster.local}", `spec.host: "desk.client.svc.cluster.local" is a service of namespace "client", so its UpstreamTrafficSetting must be in that namespace, not in "shop"`},
		{"setting for a service outside of the mesh", "UpstreamTrafficSetting", "{host: desk.outside.svc.cluster.local}", ""},
		{"setting unit", "UpstreamTrafficSetting", "{host: a.b, rateLimit: {local: {tcp: {connections: 1, unit: day}}}}", `spec.rateLimit.local.tcp.unit: "day" is not a unit; use second, minute or hour`},
		{"setting host", "UpstreamTrafficSetting", "{host: 'http://x'}", `spec.host: "http://x" is not a fully qualified domain name: …`},
		{"setting header", "UpstreamTrafficSetting", "{host: a.b, rateLimit: {local: {http: {requests: 1, unit: second, responseHeadersToAdd: [{name: Host, value: x}]}}}}",
			`spec.rateLimit.local.http.responseHeadersToAdd[0]: name: "Host" is a header that the proxy does not let anybody touch; use another`},
		{"setting timeout", "UpstreamTrafficSetting", "{host: a.b, connectionSettings: {http: {requestTimeout: 1us}}}", `spec.connectionSettings.http.requestTimeout: "1us" is less than the proxy counts; use 1ms or more, or 0s for no limit`},
		{"setting faults elsewhere", "UpstreamTrafficSetting", "{host: desk.client.svc.cluster.local, faultInjection: {abort: {responseStatusCode: 503}}}", `spec.host: "desk.client.svc.cluster.local" is a service of namespace "client", so its UpstreamTrafficSetting must be in that namespace, not in "shop"`},
		{"setting mirror elsewhere", "UpstreamTrafficSetting", "{host: desk.shop.svc.cluster.local, mirror: {service: desk.client}}", `spec.mirror.service: "desk.client" is not the name of a Service in namespace "shop": …`},
		{"setting short host", "UpstreamTrafficSetting", "{host: cart}", `spec.host: "cart" is not a fully qualified domain name; a service of the mesh is <service>.<namespace>.svc.cluster.local`},
		{"setting twice", "UpstreamTrafficSetting", "{host: Cart.shop.svc.cluster.local}", `spec.host: "Cart.shop.svc.cluster.local" is already the host of UpstreamTrafficSetting shop/old; change that one instead`},
		{"setting code", "UpstreamTrafficSetting", "{host: a.b, rateLimit: {local: {http: {responseStatusCode: 200}}}}", "spec.rateLimit.local.http.responseStatusCode: 200 is not an error status; use 400 to 599"},
		{"setting global code", "UpstreamTrafficSetting", "{host: a.b, rateLimit: {global: {http: {responseStatusCode: 600}}}}", "spec.rateLimit.global.http.responseStatusCode: 600 is not an error status; use 400 to 599"},
		{"setting route code", "UpstreamTrafficSetting", "{host: a.b, httpRoutes: [{path: /, rateLimit: {local: {responseStatusCode: 1}}}]}", "spec.httpRoutes[0].rateLimit.local.responseStatusCode: 1 is not an error status; use 400 to 599"},

		{"unreadable", "Egress", "{ports: {}}", "Egress shop/new cannot be read: …"},
		{"no rules for the kind", "Retry", "{}", ""},
	}
	for _, tt := range tests {
		for _, op := range []admissionv1.Operation{admissionv1.Create, admissionv1.Update} {
			t.Run(tt.name+" "+string(op), func(t *testing.T) {
				got := review(t, op, tt.kind, "new", tt.spec)
				require.Equal(t, tt.want == "", got.Allowed, "%v", got.Result)
				if tt.want != "" {
					requireMessage(t, tt.want, got.Result.Message)
					require.EqualValues(t, http.StatusUnprocessableEntity, got.Result.Code)
				}
			})
		}
	}
}

// requireMessage compares whole messages: users and scripts know them. Behind "…" a library speaks.
func requireMessage(t *testing.T, want, got string) {
	t.Helper()
	if begin, open := strings.CutSuffix(want, "…"); open {
		require.True(t, strings.HasPrefix(got, begin), got)
		return
	}
	require.Equal(t, want, got)
}

// rootReview judges a MeshRootCertificate of the control plane's namespace, changed from old unless that is empty.
func rootReview(t *testing.T, op admissionv1.Operation, name, spec, old string) *admissionv1.AdmissionResponse {
	t.Helper()
	raw := func(spec string) runtime.RawExtension {
		if spec == "" {
			return runtime.RawExtension{}
		}
		text, err := yaml.YAMLToJSON([]byte(fmt.Sprintf("metadata: {namespace: osm-system, name: %s}\nspec: %s\n", name, spec)))
		require.NoError(t, err)
		return runtime.RawExtension{Raw: text}
	}
	v := Validator{Policies: func() snapshot.Policies {
		return snapshot.Policies{"MeshRootCertificate": {&config.MeshRootCertificate{
			ObjectMeta: metav1.ObjectMeta{Namespace: "osm-system", Name: "first"}, Spec: config.MeshRootCertificateSpec{Role: config.RoleActive}}}}
	}, Signs: func(name string) bool { return name == "first" }}
	return v.Review(t.Context(), &admissionv1.AdmissionRequest{Operation: op, Namespace: "osm-system", Name: name,
		Kind: metav1.GroupVersionKind{Kind: "MeshRootCertificate"}, Object: raw(spec), OldObject: raw(old)})
}

func TestRoots(t *testing.T) {
	got := rootReview(t, admissionv1.Create, "second", "{role: active}", "")
	require.Equal(t, "cannot create MRC osm-system/second with active role. An MRC with this role already exists in the control plane namespace. ", got.Result.Message)
	require.True(t, rootReview(t, admissionv1.Create, "second", "{role: passive}", "").Allowed)
	require.True(t, rootReview(t, admissionv1.Update, "second", "{role: active}", "{role: passive}").Allowed)
	got = rootReview(t, admissionv1.Update, "first", "{role: inactive}", "{role: active}")
	require.Equal(t, "cannot update MRC osm-system/first from role active to inactive. Give it the role passive first, and wait until its status.state is passive", got.Result.Message)
	require.Contains(t, rootReview(t, admissionv1.Update, "first", "{role: inactive}", "").Result.Message, "as it was cannot be read")
	require.Contains(t, rootReview(t, admissionv1.Delete, "first", "", "").Result.Message, "must not be deleted")
	require.True(t, rootReview(t, admissionv1.Delete, "second", "", "").Allowed)
}

func TestAnObjectDoesNotContradictItself(t *testing.T) {
	require.True(t, review(t, admissionv1.Update, "IngressBackend", "old", "{backends: [{name: cart, port: {number: 80, protocol: http}}]}").Allowed)
	require.True(t, review(t, admissionv1.Update, "UpstreamTrafficSetting", "old", "{host: cart.shop.svc.cluster.local}").Allowed)
}

func TestWhatIsOnItsWayOutIsAllowed(t *testing.T) {
	require.True(t, review(t, admissionv1.Delete, "TrafficTarget", "new", "{destination: {namespace: other}}").Allowed)
	raw := []byte(`{"metadata":{"namespace":"shop","name":"x","deletionTimestamp":"2026-01-01T00:00:00Z"},"spec":{"destination":{"namespace":"other"}}}`)
	v := Validator{Policies: func() snapshot.Policies { return nil }}
	require.True(t, v.Review(t.Context(), &admissionv1.AdmissionRequest{Operation: admissionv1.Update,
		Kind: metav1.GroupVersionKind{Kind: "TrafficTarget"}, Object: runtime.RawExtension{Raw: raw}}).Allowed)
}

func TestWarnsAboutKindsWithoutEffect(t *testing.T) {
	require.Empty(t, review(t, admissionv1.Create, "TrafficTarget", "new", "{destination: {namespace: shop}}").Warnings)
	require.Equal(t, []string{"this version of the control plane does not act on Telemetry objects yet; the object has no effect"},
		review(t, admissionv1.Create, "Telemetry", "new", "{}").Warnings)
}

func TestWarnsAboutFieldsWithoutEffect(t *testing.T) {
	warned := review(t, admissionv1.Create, "Egress", "new", "{hosts: [desk.client.svc.cluster.local], ports: [{number: 80, protocol: http}]}")
	require.True(t, warned.Allowed)
	require.Len(t, warned.Warnings, 1)
	require.Contains(t, warned.Warnings[0], `spec.hosts[0]: "desk.client.svc.cluster.local" is the service client/desk of the mesh.`)
	require.Empty(t, review(t, admissionv1.Create, "Egress", "new", "{hosts: [desk.outside.svc.cluster.local], ports: [{number: 80, protocol: http}]}").Warnings)

	warned = review(t, admissionv1.Update, "UpstreamTrafficSetting", "new", "{host: www.example.com, rateLimit: {local: {tcp: {connections: 1, unit: minute}}}}")
	require.True(t, warned.Allowed, "%v", warned.Result)
	require.Len(t, warned.Warnings, 1)
	require.Contains(t, warned.Warnings[0], "spec.rateLimit: has no effect")
	require.Empty(t, review(t, admissionv1.Update, "UpstreamTrafficSetting", "new", "{host: www.example.com}").Warnings)
	refused := review(t, admissionv1.Create, "Egress", "new", "{hosts: [desk.client, localhost], ports: [{number: 80, protocol: http}]}")
	require.False(t, refused.Allowed)
	require.Empty(t, refused.Warnings, "an error alone")
}

func configuration() Configuration {
	return Configuration{Name: "osm-validator-mesh-osm", MeshName: "osm", OSMNamespace: "osm-system", Version: "v1", TrafficTargets: true}
}

func TestConfiguration(t *testing.T) {
	w := configuration().Build([]byte("ca")).Webhooks[0]
	require.Equal(t, "osm-validator.k8s.io", w.Name)
	require.Equal(t, "osm-system/osm-validator:9093/validate", fmt.Sprintf("%s/%s:%d%s",
		w.ClientConfig.Service.Namespace, w.ClientConfig.Service.Name, *w.ClientConfig.Service.Port, *w.ClientConfig.Service.Path))
	require.Equal(t, admissionregv1.Fail, *w.FailurePolicy)
	require.Equal(t, admissionregv1.Exact, *w.MatchPolicy)
	require.Equal(t, admissionregv1.SideEffectClassNoneOnDryRun, *w.SideEffects)
	require.Equal(t, map[string]string{"openservicemesh.io/monitored-by": "osm"}, w.NamespaceSelector.MatchLabels)
	require.Len(t, w.NamespaceSelector.MatchExpressions, 3)
	require.Len(t, w.Rules, 2)
	own := configuration().Build([]byte("ca")).Webhooks[1]
	require.Equal(t, "osm-control-plane-validator.k8s.io", own.Name)
	require.Equal(t, admissionregv1.Ignore, *own.FailurePolicy)
	require.Equal(t, map[string]string{"kubernetes.io/metadata.name": "osm-system"}, own.NamespaceSelector.MatchLabels)
	require.Equal(t, []admissionregv1.OperationType{"CREATE", "UPDATE", "DELETE"}, own.Rules[0].Operations)
	c := configuration()
	c.TrafficTargets = false
	require.Len(t, c.Build(nil).Webhooks[0].Rules, 1)
}

// keep writes the configuration once.
func keep(t *testing.T, k announce.Keeper[*admissionregv1.ValidatingWebhookConfiguration]) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	k.Keep(ctx, rootOf("ca"), slog.New(slog.DiscardHandler), func(bool, bool) { cancel() })
}

type rootOf string

func (r rootOf) TrustBundle() []byte { return []byte(r) }

func (rootOf) Changed() <-chan struct{} { return nil }

func TestKeeper(t *testing.T) {
	client := fake.NewClientset().AdmissionregistrationV1().ValidatingWebhookConfigurations()
	c := configuration()
	k := c.Keeper(client, func(context.Context) (bool, error) { return true, nil })
	keep(t, k)
	have, err := client.Get(t.Context(), c.Name, metav1.GetOptions{})
	require.NoError(t, err)
	require.Len(t, have.Webhooks[0].Rules, 2)
	have.Labels["theirs"] = "x"
	have.Webhooks[0].Rules = nil
	_, err = client.Update(t.Context(), have, metav1.UpdateOptions{})
	require.NoError(t, err)
	keep(t, k)
	have, err = client.Get(t.Context(), c.Name, metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, "x", have.Labels["theirs"])
	require.Equal(t, []byte("ca"), have.Webhooks[0].ClientConfig.CABundle)
	require.Len(t, have.Webhooks[0].Rules, 2)
	require.ErrorContains(t, k.Failed("create", errors.New("forbidden")), "create ValidatingWebhookConfiguration "+c.Name+": forbidden")
}
