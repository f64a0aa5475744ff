package manifests

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/snapshot"
)

const shop = `
# only a comment
---
apiVersion: v1
kind: Service
metadata: {namespace: shop, name: cart}
spec:
  selector: {app: cart}
  ports: [{name: web, port: 80, targetPort: http}, {name: dns, port: 53, protocol: UDP}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {namespace: shop, name: cart}
spec:
  selector: {matchLabels: {app: cart}}
  template:
    metadata: {labels: {app: cart}}
    spec:
      serviceAccountName: cart
      containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]
---
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: ServiceAccount
  metadata: {namespace: shop, name: cart}
- apiVersion: apps/v1
  kind: StatefulSet
  metadata: {namespace: shop, name: db}
  spec:
    serviceName: db
    selector: {matchLabels: {app: db}}
    template: {metadata: {labels: {app: db}}, spec: {containers: [{name: c}]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {namespace: shop, name: r}
---
apiVersion: split.smi-spec.io/v1alpha2
kind: TrafficSplit
metadata: {namespace: shop, name: s}
spec: {service: cart, backends: [{service: cart, weight: 1}]}
`

func read(t *testing.T, docs string) Result {
	t.Helper()
	r, err := Read("in.yaml", strings.NewReader(docs), Options{})
	require.NoError(t, err)
	return r
}

func TestPlainManifests(t *testing.T) {
	r := read(t, shop)
	s := r.Snapshot
	require.Equal(t, []string{"Role"}, r.Skipped)
	require.True(t, s.Mesh.Permissive && s.Mesh.Egress, "the default installation's MeshConfig")
	require.Equal(t, meshid.TrustDomain("cluster.local"), s.Mesh.TrustDomain)
	require.Len(t, s.Services, 1)
	require.Equal(t, "10.96.0.1", s.Services[0].ClusterIPs[0].String())
	require.Equal(t, []snapshot.ServicePort{{Name: "web", Port: 80, TargetPort: 8080, Protocol: meshid.HTTP, Undeclared: true}}, s.Services[0].Ports)
	var pods []string
	for _, p := range s.Pods {
		pods = append(pods, p.ID.String()+" "+p.Identity.String()+" "+p.IPs[0].String())
	}
	require.Equal(t, []string{"shop/cart cart.shop 10.244.0.1", "shop/db-0 default.shop 10.244.0.2"}, pods)
	eps := s.Endpoints[meshid.ServicePort{Service: meshid.Service{Namespace: "shop", Name: "cart"}, Port: 80}]
	require.Len(t, eps, 1)
	require.Equal(t, "10.244.0.1:8080", eps[0].Addr.String())
	require.NotNil(t, s.Pod(eps[0].Pod))
	require.Len(t, s.Policies["TrafficSplit"], 1)
}

func TestWhatIsWrittenIsKept(t *testing.T) {
	s := read(t, `
apiVersion: v1
kind: Service
metadata: {name: cart}
spec: {clusterIP: 10.9.9.9, selector: {app: cart}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: cart, uid: abc, labels: {app: cart}}
spec: {containers: [{name: c}]}
status: {podIP: 10.1.1.1}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: cart, labels: {kubernetes.io/service-name: cart}}
addressType: IPv4
ports: [{name: "", port: 8080}]
endpoints: [{addresses: [10.1.1.1]}, {addresses: [10.1.1.2], conditions: {ready: false}}]
---
apiVersion: config.openservicemesh.io/v1alpha2
kind: MeshConfig
metadata: {namespace: arc-osm-system, name: osm-mesh-config}
spec:
  traffic: {enableEgress: false, enablePermissiveTrafficPolicyMode: false}
  certificate: {serviceCertValidityDuration: 24h, certKeyBitSize: 2048}
`).Snapshot
	require.False(t, s.Mesh.Permissive || s.Mesh.Egress)
	require.Equal(t, "10.9.9.9", s.Services[0].ClusterIPs[0].String())
	require.Equal(t, meshid.Pod{Namespace: "default", Name: "cart", UID: "abc"}, s.Pods[0].ID)
	eps := s.Endpoints[meshid.ServicePort{Service: s.Services[0].ID, Port: 80}]
	require.Len(t, eps, 1)
	require.Equal(t, "10.1.1.1:8080", eps[0].Addr.String())
}

func TestNamespaces(t *testing.T) {
	docs := `
apiVersion: v1
kind: Namespace
metadata: {name: in, labels: {openservicemesh.io/monitored-by: mine}}
---
apiVersion: v1
kind: Namespace
metadata: {name: out}
---
apiVersion: v1
kind: Namespace
metadata: {name: other, labels: {openservicemesh.io/monitored-by: theirs}}
`
	for _, ns := range []string{"in", "out", "other", "unsaid", "osm-system"} {
		docs += "---\napiVersion: v1\nkind: Service\nmetadata: {namespace: " + ns + ", name: s}\nspec: {ports: [{port: 80}]}\n"
	}
	for mesh, want := range map[string][]string{"mine": {"in", "unsaid"}, "": {"in", "other", "unsaid"}} {
		r, err := Read("in.yaml", strings.NewReader(docs), Options{MeshName: mesh})
		require.NoError(t, err)
		var got []string
		for _, s := range r.Snapshot.Services {
			got = append(got, s.ID.Namespace)
		}
		require.Equal(t, want, got, "mesh %q", mesh)
	}
}

func TestErrorsNameThePlace(t *testing.T) {
	tests := map[string]struct {
		docs string
		want []string
	}{
		"unknown field": {shop + "\n---\napiVersion: split.smi-spec.io/v1alpha2\nkind: TrafficSplit\nmetadata: {namespace: shop, name: t}\nspec: {servise: cart}\n",
			[]string{"in.yaml, document 7", "TrafficSplit shop/t", `unknown field "spec.servise"`}},
		"wrong type": {"apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: eighty}]}\n",
			[]string{"in.yaml, document 1", "Service /s", "port"}},
		"doubled field": {"apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 80, port: 81}]}\n",
			[]string{"document 1", "port"}},
		"unknown kind":    {"apiVersion: split.smi-spec.io/v1alpha2\nkind: TrafficSplitt\nmetadata: {name: s}\n", []string{`no kind "TrafficSplitt" in split.smi-spec.io/v1alpha2`}},
		"unknown version": {"apiVersion: split.smi-spec.io/v1alpha1\nkind: TrafficSplit\nmetadata: {name: s}\n", []string{`no kind "TrafficSplit" in split.smi-spec.io/v1alpha1`}},
		"no kind":         {"hello: world\n", []string{"document 1", "apiVersion and kind are missing"}},
		"no name":         {"apiVersion: v1\nkind: Service\nspec: {}\n", []string{"metadata.name is missing"}},
		"not YAML":        {"{{ template }}\n", []string{"document 1", "not YAML"}},
		"all errors show": {"a: b\n---\nc: d\n", []string{"document 1", "document 2"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Read("in.yaml", strings.NewReader(tt.docs), Options{})
			for _, w := range tt.want {
				require.ErrorContains(t, err, w)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "sub"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.yaml"), []byte(shop), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "README.md"), []byte("{{"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "sub", "b.json"), []byte(`{"apiVersion":"v1","kind":"Service","metadata":{"namespace":"shop","name":"b"}}`), 0o600))
	r, err := Load([]string{dir, "-"}, strings.NewReader("apiVersion: v1\nkind: Service\nmetadata: {namespace: shop, name: c}\n"), Options{})
	require.NoError(t, err)
	require.Len(t, r.Snapshot.Services, 3)

	_, err = Load([]string{t.TempDir()}, nil, Options{})
	require.ErrorContains(t, err, "no objects")
	_, err = Load([]string{filepath.Join(dir, "absent")}, nil, Options{})
	require.ErrorContains(t, err, "absent")
}

func TestWalkThroughManifestsRead(t *testing.T) {
	r, err := Load([]string{"../../../docs/example/manifests"}, nil, Options{})
	if os.IsNotExist(err) {
		t.Fatal("the walk-through's manifests have moved; say where")
	}
	require.NoError(t, err)
	require.NotEmpty(t, r.Snapshot.Pods)
	require.NotEmpty(t, r.Snapshot.Policies["TrafficTarget"])
	require.Empty(t, r.Findings)
}

// With Inject pods have a sidecar, unless they rule it out.
func TestInject(t *testing.T) {
	const pods = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: a}
spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: app}]}}}
---
apiVersion: v1
kind: Pod
metadata: {name: out, namespace: a, annotations: {openservicemesh.io/sidecar-injection: disabled}}
spec: {containers: [{name: app}]}
---
apiVersion: v1
kind: Pod
metadata: {name: host, namespace: a}
spec: {hostNetwork: true, containers: [{name: app}]}
`
	for _, inject := range []bool{false, true} {
		r, err := Read("test", strings.NewReader(pods), Options{Inject: inject})
		require.NoError(t, err)
		got := map[string]bool{}
		for _, p := range r.Snapshot.Pods {
			got[p.ID.Name] = p.ProxyUUID != ""
		}
		require.Equal(t, map[string]bool{"web": inject, "out": false, "host": false}, got)
	}
}

// Nothing is invented for a live cluster: a pod without an address has none, and a namespace without the label is no member.
func TestLive(t *testing.T) {
	const objects = `
apiVersion: v1
kind: Namespace
metadata: {name: a, labels: {openservicemesh.io/monitored-by: osm}}
---
apiVersion: v1
kind: Pod
metadata: {name: pending, namespace: a}
spec: {containers: [{name: app}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: a}
spec: {clusterIP: 10.96.0.9, selector: {}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: other, namespace: b}
spec: {clusterIP: 10.96.0.10, ports: [{port: 80}]}
`
	r, err := Read("test", strings.NewReader(objects), Options{MeshName: "osm", OSMNamespace: "osm-system", Live: true})
	require.NoError(t, err)
	for _, p := range r.Snapshot.Pods {
		require.Empty(t, p.IPs)
	}
	require.Len(t, r.Snapshot.Services, 1)
	require.Empty(t, r.Snapshot.Endpoints)
}
