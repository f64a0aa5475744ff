package tcproute

import (
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	specs "openservicemesh.io/osm/api/smi/specs/v1alpha4"
)

func TestCompile(t *testing.T) {
	route := func(name string, ports ...int) *specs.TCPRoute {
		return &specs.TCPRoute{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, Spec: specs.TCPRouteSpec{Matches: specs.TCPMatch{Ports: ports}}}
	}
	routes, findings := Compile([]*specs.TCPRoute{
		route("any"), route("some", 443, 80, 443), route("partly", 0, 80, 65536), route("none", -1, 70000),
	})
	require.Equal(t, Routes{
		{"ns", "any"}: nil, {"ns", "some"}: {80, 443}, {"ns", "partly"}: {80},
	}, routes, "a route left without ports is dropped: it must not open every port")
	require.Len(t, findings, 4)
	require.Equal(t, "spec.matches.ports[0]: 0 is not a port; use 1 to 65535. The port is ignored", findings[0].Message)
	require.Equal(t, findings[:2], Check(route("partly", 0, 80, 65536)))
}
