package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	policyv1 "openservicemesh.io/osm/api/policy/v1alpha1"
	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/kube/manifests"
	"openservicemesh.io/osm/internal/render"
)

const objects = `
apiVersion: config.openservicemesh.io/v1alpha2
kind: MeshConfig
metadata: {name: osm-mesh-config, namespace: osm-system}
spec:
  traffic: {enableEgress: false, enablePermissiveTrafficPolicyMode: false}
  featureFlags: {enableEgressPolicy: true, enableIngressBackendPolicy: true}
---
apiVersion: v1
kind: Namespace
metadata: {name: curl, labels: {openservicemesh.io/monitored-by: osm}}
---
apiVersion: v1
kind: Namespace
metadata: {name: httpbin, labels: {openservicemesh.io/monitored-by: osm}}
---
apiVersion: v1
kind: Namespace
metadata: {name: ingress, labels: {openservicemesh.io/monitored-by: osm}}
---
apiVersion: v1
kind: Pod
metadata: {name: curl, namespace: curl, labels: {app: curl, osm-proxy-uuid: 00000000-0000-0000-0000-000000000001}}
spec: {serviceAccountName: curl, containers: [{name: curl}, {name: envoy}]}
---
apiVersion: v1
kind: Pod
metadata: {name: stranger, namespace: curl, labels: {app: stranger, osm-proxy-uuid: 00000000-0000-0000-0000-000000000002}}
spec: {serviceAccountName: stranger, containers: [{name: curl}, {name: envoy}]}
---
apiVersion: v1
kind: Pod
metadata: {name: httpbin, namespace: httpbin, labels: {app: httpbin, osm-proxy-uuid: 00000000-0000-0000-0000-000000000003}}
spec: {serviceAccountName: httpbin, containers: [{name: httpbin, ports: [{name: web, containerPort: 14001}]}, {name: envoy}]}
---
apiVersion: v1
kind: Pod
metadata: {name: nginx, namespace: ingress, labels: {app: nginx}}
spec: {containers: [{name: nginx}]}
---
apiVersion: v1
kind: Service
metadata: {name: httpbin, namespace: httpbin}
spec: {selector: {app: httpbin}, ports: [{name: http-web, port: 80, targetPort: web}, {name: tcp-db, port: 5432}]}
---
apiVersion: v1
kind: Pod
metadata: {name: member-0, namespace: httpbin, labels: {app: member, osm-proxy-uuid: 00000000-0000-0000-0000-000000000004}}
spec: {serviceAccountName: httpbin, hostname: member-0, subdomain: members, containers: [{name: member, ports: [{name: web, containerPort: 9090}, {name: db, containerPort: 6000}]}, {name: envoy}]}
---
apiVersion: v1
kind: Pod
metadata: {name: loose-a, namespace: httpbin, labels: {app: loose, osm-proxy-uuid: 00000000-0000-0000-0000-000000000005}}
spec: {serviceAccountName: httpbin, containers: [{name: loose, ports: [{name: web, containerPort: 9001}]}, {name: envoy}]}
---
apiVersion: v1
kind: Pod
metadata: {name: loose-b, namespace: httpbin, labels: {app: loose, osm-proxy-uuid: 00000000-0000-0000-0000-000000000006}}
spec: {serviceAccountName: httpbin, containers: [{name: loose, ports: [{name: web, containerPort: 9002}]}, {name: envoy}]}
---
apiVersion: v1
kind: Service
metadata: {name: members, namespace: httpbin}
spec: {clusterIP: None, selector: {app: member}, ports: [{name: http-web, port: 80, targetPort: web}, {name: tcp-db, port: 5432, targetPort: db}]}
---
apiVersion: v1
kind: Service
metadata: {name: loose, namespace: httpbin}
spec: {clusterIP: None, selector: {app: loose}, ports: [{name: http-web, port: 80, targetPort: web}]}
---
apiVersion: v1
kind: Service
metadata: {name: nginx, namespace: ingress}
spec: {selector: {app: nginx}, ports: [{port: 80}]}
---
apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata: {name: routes, namespace: httpbin}
spec: {matches: [{name: all, pathRegex: .*, methods: ["*"]}]}
---
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: curl-calls-httpbin, namespace: httpbin}
spec:
  destination: {kind: ServiceAccount, name: httpbin, namespace: httpbin}
  sources: [{kind: ServiceAccount, name: curl, namespace: curl}]
  rules: [{kind: HTTPRouteGroup, name: routes, matches: [all]}]
---
apiVersion: policy.openservicemesh.io/v1alpha1
kind: IngressBackend
metadata: {name: httpbin, namespace: httpbin}
spec:
  backends: [{name: httpbin, port: {number: 14001, protocol: http}}]
  sources: [{kind: Service, name: nginx, namespace: ingress}]
---
apiVersion: policy.openservicemesh.io/v1alpha1
kind: Egress
metadata: {name: outside, namespace: curl}
spec:
  sources: [{kind: ServiceAccount, name: curl, namespace: curl}]
  hosts: [httpbin.org]
  ports: [{number: 80, protocol: http}]
---
apiVersion: policy.openservicemesh.io/v1alpha1
kind: Egress
metadata: {name: outside-tcp, namespace: curl}
spec:
  sources: [{kind: ServiceAccount, name: curl, namespace: curl}]
  ports: [{number: 3306, protocol: tcp-server-first}]
`

// world is a cluster of the objects, whose sidecars hold what the control plane makes of them.
func world(t *testing.T) World {
	t.Helper()
	return worldOf(t, objects, func(*envoy.Resource) bool { return true })
}

// worldOf is world with other objects, whose sidecars hold some of their clusters.
func worldOf(t *testing.T, objects string, holds func(cluster *envoy.Resource) bool) World {
	t.Helper()
	read, err := manifests.Read("objects", strings.NewReader(objects), manifests.Options{})
	require.NoError(t, err)
	require.Empty(t, read.Findings)
	mesh := render.New(read.Snapshot)
	return World{
		MeshName: "osm", Namespace: "osm-system",
		GetNamespace: func(_ context.Context, name string) (*corev1.Namespace, error) {
			return find[corev1.Namespace]("Namespace", "", name)
		},
		GetPod: func(_ context.Context, ns, name string) (*corev1.Pod, error) {
			return find[corev1.Pod]("Pod", ns, name)
		},
		GetService: func(_ context.Context, ns, name string) (*corev1.Service, error) {
			return find[corev1.Service]("Service", ns, name)
		},
		GetIngressBackend: func(_ context.Context, ns, name string) (*policyv1.IngressBackend, error) {
			return find[policyv1.IngressBackend]("IngressBackend", ns, name)
		},
		PodsOfService: func(_ context.Context, s *corev1.Service) ([]corev1.Pod, error) {
			p, err := find[corev1.Pod]("Pod", s.Namespace, s.Name)
			return []corev1.Pod{*p}, err
		},
		Dump: func(_ context.Context, ns, pod string) ([]byte, error) { return dumpOf(mesh, ns, pod, holds) },
	}
}

// find decodes one of the objects.
func find[T any](kind, namespace, name string) (*T, error) {
	for _, doc := range strings.Split(objects, "\n---\n") {
		var head struct {
			Kind     string
			Metadata struct{ Namespace, Name string }
		}
		if err := yaml.Unmarshal([]byte(doc), &head); err != nil {
			return nil, err
		}
		if head.Kind == kind && head.Metadata.Namespace == namespace && head.Metadata.Name == name {
			out := new(T)
			return out, yaml.Unmarshal([]byte(doc), out)
		}
	}
	return nil, errors.New("not found")
}

// dumpOf writes a proxy's resources in the form of Envoy's configuration dump.
func dumpOf(mesh *render.Mesh, namespace, pod string, holds func(cluster *envoy.Resource) bool) ([]byte, error) {
	p, err := mesh.Find(namespace + "/" + pod)
	if err != nil {
		return nil, err
	}
	set, err := mesh.Resources(p, []byte(render.PlaceholderRoots))
	if err != nil {
		return nil, err
	}
	var failures []error
	list := func(typ envoy.TypeURL, wrap func(name string, body json.RawMessage) any) []any {
		var out []any
		for _, r := range set.List(typ) {
			if typ == envoy.Cluster && !holds(r) {
				continue
			}
			m, err := r.Body().UnmarshalNew()
			if err != nil {
				failures = append(failures, err)
				continue
			}
			text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
			failures = append(failures, err)
			out = append(out, wrap(r.Name, text))
		}
		return out
	}
	text, err := json.Marshal(map[string]any{"configs": []any{
		map[string]any{"@type": "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump", "bootstrap": map[string]any{"node": map[string]any{"id": "x"}}},
		map[string]any{"dynamic_listeners": list(envoy.Listener, func(name string, body json.RawMessage) any {
			return map[string]any{"name": name, "active_state": map[string]any{"listener": body}}
		})},
		map[string]any{"dynamic_route_configs": list(envoy.Route, func(_ string, body json.RawMessage) any { return map[string]any{"route_config": body} })},
		map[string]any{"dynamic_active_clusters": list(envoy.Cluster, func(_ string, body json.RawMessage) any { return map[string]any{"cluster": body} })},
		map[string]any{"dynamic_active_secrets": []any{map[string]any{"name": names.SecretServiceCert(p.Identity())}}},
	}})
	return text, errors.Join(append(failures, err)...)
}

func curl(protocol string) Call { return calls("httpbin", "httpbin", protocol) }

// calls is a call from curl to a pod by a service.
func calls(pod, service, protocol string) Call {
	return Call{From: Name{"curl", "curl"}, To: Name{"httpbin", pod}, Service: Name{"httpbin", service}, Protocol: protocol}
}

// What the verifier looks for is what the control plane makes: its names are compared with generated configuration.
func TestGeneratedConfigurationVerifies(t *testing.T) {
	w := world(t)
	ingress := IngressCall{From: Name{"ingress", "nginx"}, To: Name{"httpbin", "httpbin"}, Service: "httpbin", Backend: "httpbin", Port: 14001, Protocol: "http"}
	for what, r := range map[string]Result{
		"http":                Connectivity(t.Context(), w, curl("http")),
		"tcp":                 Connectivity(t.Context(), w, curl("TCP")),
		"ingress":             Ingress(t.Context(), w, ingress),
		"egress, http":        Egress(t.Context(), w, Name{"curl", "curl"}, External{"httpbin.org", 80, "http"}),
		"egress, any host":    Egress(t.Context(), w, Name{"curl", "curl"}, External{"", 80, "http"}),
		"egress, tcp":         Egress(t.Context(), w, Name{"curl", "curl"}, External{"", 3306, "tcp-server-first"}),
		"headless, http":      Connectivity(t.Context(), w, calls("member-0", "members", "http")),
		"headless, tcp":       Connectivity(t.Context(), w, calls("member-0", "members", "tcp")),
		"headless, a target":  Connectivity(t.Context(), w, calls("loose-a", "loose", "http")),
		"headless, another":   Connectivity(t.Context(), w, calls("loose-b", "loose", "http")),
		"nothing of the mesh": success("nothing"),
	} {
		require.Equal(t, Success, r.Status, "%s: %s", what, text(r))
	}
}

// A cluster that the sidecar fetches with the first call is no fault while it is not there; one that it does not fetch is.
func TestClustersThatAreNotThere(t *testing.T) {
	for mode, want := range map[string]Status{"OnDemand": Success, "Preloaded": Failure} {
		with := strings.Replace(objects, "spec:\n", "spec:\n  sidecar: {clusterDiscovery: "+mode+"}\n", 1)
		w := worldOf(t, with, func(c *envoy.Resource) bool { return strings.HasSuffix(c.Name, "|local") })
		for _, protocol := range []string{"http", "tcp"} {
			r := Connectivity(t.Context(), w, curl(protocol))
			require.Equal(t, want, r.Status, "%s %s: %s", mode, protocol, text(r))
			if want == Failure {
				require.Contains(t, text(r), "Did not find matching outbound cluster")
			}
		}
	}
}

// Where policy does not let a pod call, its sidecar has no configuration for the call.
func TestWhatIsNotGrantedFails(t *testing.T) {
	w := world(t)
	call := curl("http")
	call.From.Name = "stranger"
	require.Contains(t, text(Connectivity(t.Context(), w, call)), `Outbound listener "outbound-listener"`)
	out := text(Egress(t.Context(), w, Name{"curl", "curl"}, External{"example.com", 80, "http"}))
	require.Contains(t, out, `Did not find outbound route configuration: virtual host "egress_virtual-host|example.com" not found`)
	require.Contains(t, text(Egress(t.Context(), w, Name{"curl", "curl"}, External{"", 443, "https"})), "Did not find matching outbound filter chain")
	require.Contains(t, text(Connectivity(t.Context(), w, curl("redis"))), `App protocol "redis" is not supported`)
}

func text(r Result) string {
	var out bytes.Buffer
	Print(&out, r, false)
	return out.String()
}

func TestPrintColours(t *testing.T) {
	var out bytes.Buffer
	Print(&out, all("whole", success("fine"), failure("part", "cure", "cause %d", 7), unknown("other", "", "why")), true)
	line := strings.Repeat("-", 45)
	require.Equal(t, fmt.Sprintf(`%[1]s
[+] Context: whole
Status: %[2]s[31mFailure%[2]s[0m
Reason: A verification step failed
Suggestion: Please follow the suggestions listed in the failed steps below to resolve the issue

%[1]s
[+] Context: part
Status: %[2]s[31mFailure%[2]s[0m
Reason: cause 7
Suggestion: cure

%[1]s
[+] Context: other
Status: %[2]s[33mUnknown%[2]s[0m
Reason: why

%[1]s
`, line, "\x1b"), out.String())
}

func TestParseRefusesWhatIsNoDump(t *testing.T) {
	for _, in := range []string{"", "not found", `{"configs": 3}`, `{"configs": ["x"]}`} {
		_, err := parse([]byte(in))
		require.ErrorContains(t, err, "no configuration dump", in)
	}
	d, err := parse([]byte(`{"configs": [{"@type": "type.googleapis.com/envoy.admin.v4.Later", "dynamic_things": {"a": 1}}]}`))
	require.NoError(t, err)
	require.Empty(t, d.listeners)
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"configs": [{"dynamic_listeners": [{"name": "outbound-listener", "active_state": {"listener": {"filter_chains": [{"name": "a"}]}}}]}]}`))
	pod := &corev1.Pod{}
	ports := []port{{service: meshid.Service{Namespace: "a", Name: "b"}, number: 1, target: 2, protocol: meshid.HTTP}}
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := parse(text)
		if err != nil {
			return
		}
		reasons := []string{d.outbound(pod, ports), d.inbound(pod, ports), d.ingress(pod, ports[0]), d.external(pod, External{"h", 1, "http"})}
		require.False(t, slices.Contains(reasons[:2], "") && len(text) < 100, "a dump this short cannot hold what a call needs")
	})
}
