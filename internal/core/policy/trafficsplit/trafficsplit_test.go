package trafficsplit

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	split "openservicemesh.io/osm/api/smi/split/v1alpha2"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/snapshot"
)

func svc(name string) meshid.Service { return meshid.Service{Namespace: "ns", Name: name} }

// services exist with an HTTP port 80; "raw" takes bytes there.
var services = Lookup{
	Exists: func(s meshid.Service) bool { return s.Namespace == "ns" && s.Name != "nope" },
	Ports: func(s meshid.Service) []snapshot.ServicePort {
		if s.Name == "raw" {
			return []snapshot.ServicePort{{Port: 80, Protocol: meshid.TCP}}
		}
		return []snapshot.ServicePort{{Port: 80, TargetPort: 8080, Protocol: meshid.HTTP}}
	},
}

func object(name, apex string, backends ...split.TrafficSplitBackend) *split.TrafficSplit {
	return &split.TrafficSplit{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, Spec: split.TrafficSplitSpec{Service: apex, Backends: backends}}
}

func TestCompile(t *testing.T) {
	for _, c := range []struct {
		name     string
		objects  []*split.TrafficSplit
		want     Splits
		reasons  []string
		messages string
	}{
		{"two backends, sorted", []*split.TrafficSplit{object("s", "apex", split.TrafficSplitBackend{Service: "b", Weight: 75}, split.TrafficSplitBackend{Service: "a", Weight: 25})},
			Splits{svc("apex"): {{svc("a"), 25}, {svc("b"), 75}}}, nil, ""},
		{"listed twice", []*split.TrafficSplit{object("s", "apex", split.TrafficSplitBackend{Service: "a", Weight: 1}, split.TrafficSplitBackend{Service: "b", Weight: 1}, split.TrafficSplitBackend{Service: "a", Weight: 2})},
			Splits{svc("apex"): {{svc("a"), 3}, {svc("b"), 1}}}, nil, ""},
		{"weight zero", []*split.TrafficSplit{object("s", "apex", split.TrafficSplitBackend{Service: "a"}, split.TrafficSplitBackend{Service: "b", Weight: 1})},
			Splits{svc("apex"): {{svc("a"), 0}, {svc("b"), 1}}}, nil, ""},
		{"sum zero", []*split.TrafficSplit{object("s", "apex", split.TrafficSplitBackend{Service: "a"})}, Splits{}, []string{"InvalidWeights"}, "sum to 0"},
		{"no backends", []*split.TrafficSplit{object("s", "apex")}, Splits{}, []string{"InvalidWeights"}, ""},
		{"sum too large", []*split.TrafficSplit{object("s", "apex", split.TrafficSplitBackend{Service: "a", Weight: math.MaxInt32}, split.TrafficSplitBackend{Service: "b", Weight: math.MaxInt32}, split.TrafficSplitBackend{Service: "c", Weight: math.MaxInt32})},
			Splits{}, []string{"InvalidWeights"}, "less than 2^32"},
		{"negative", []*split.TrafficSplit{object("s", "apex", split.TrafficSplitBackend{Service: "a", Weight: -5}, split.TrafficSplitBackend{Service: "b", Weight: 1})},
			Splits{svc("apex"): {{svc("b"), 1}}}, []string{"InvalidWeight"}, "-5 is negative"},
		{"missing backend", []*split.TrafficSplit{object("s", "apex", split.TrafficSplitBackend{Service: "nope", Weight: 1}, split.TrafficSplitBackend{Service: "b", Weight: 1})},
			Splits{svc("apex"): {{svc("b"), 1}}}, []string{"BackendNotFound"}, "Service ns/nope does not exist"},
		{"missing apex", []*split.TrafficSplit{object("s", "nope", split.TrafficSplitBackend{Service: "b", Weight: 1})}, Splits{}, []string{"ServiceNotFound"}, ""},
		{"other namespace", []*split.TrafficSplit{object("s", "apex.other", split.TrafficSplitBackend{Service: "b", Weight: 1})}, Splits{}, []string{"InvalidService"}, `is in namespace "other"`},
		{"first wins", []*split.TrafficSplit{object("s1", "apex", split.TrafficSplitBackend{Service: "a", Weight: 1}), object("s2", "apex.ns", split.TrafficSplitBackend{Service: "b", Weight: 1})},
			Splits{svc("apex"): {{svc("a"), 1}}}, []string{"DuplicateApex"}, "already split by ns/s1"},
		{"an invalid first does not count", []*split.TrafficSplit{object("s1", "apex"), object("s2", "apex", split.TrafficSplitBackend{Service: "b", Weight: 1})},
			Splits{svc("apex"): {{svc("b"), 1}}}, []string{"InvalidWeights"}, ""},
		{"backend that takes bytes", []*split.TrafficSplit{object("s", "apex", split.TrafficSplitBackend{Service: "raw", Weight: 1}, split.TrafficSplitBackend{Service: "b", Weight: 1})},
			Splits{svc("apex"): {{svc("b"), 1}, {svc("raw"), 1}}}, []string{"BackendPortNotFound"}, "Service ns/raw has no port 80 of the same kind (http) as ns/apex"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, findings := Compile(c.objects, services)
			require.Equal(t, c.want, got)
			var reasons []string
			for _, f := range findings {
				reasons = append(reasons, f.Reason)
			}
			require.Equal(t, c.reasons, reasons)
			if c.messages != "" {
				require.Contains(t, findings[0].Message, c.messages)
			}
		})
	}
}

func TestRoot(t *testing.T) {
	for _, name := range []string{"apex", "apex.ns", "apex.ns.svc", "apex.ns.svc.cluster", "apex.ns.svc.cluster.local", "apex.ns.svc.cluster.local."} {
		got, err := Root(object("s", name))
		require.NoError(t, err, name)
		require.Equal(t, svc("apex"), got)
	}
	for _, name := range []string{"", ".", ".ns", "apex.other", "apex.ns.pod", "apex.ns.svc.example.com", "apex.ns.svc.cluster.local.x", "apex.ns.s"} {
		_, err := Root(object("s", name))
		require.Error(t, err, name)
	}
}

func TestBackendPort(t *testing.T) {
	apex := snapshot.ServicePort{Port: 80, TargetPort: 80, Protocol: meshid.HTTP}
	ports := []snapshot.ServicePort{{Port: 81, TargetPort: 80, Protocol: meshid.HTTP}, {Port: 80, TargetPort: 9090, Protocol: meshid.GRPC}}
	got, ok := BackendPort(ports, apex)
	require.True(t, ok)
	require.Equal(t, uint16(9090), got.TargetPort)
	_, ok = BackendPort(ports, snapshot.ServicePort{Port: 80, Protocol: meshid.TCP})
	require.False(t, ok)
	_, ok = BackendPort(nil, apex)
	require.False(t, ok)
}
