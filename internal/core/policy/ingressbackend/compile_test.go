package ingressbackend

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	policyv1 "openservicemesh.io/osm/api/policy/v1alpha1"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/snapshot"
)

func lookup() Lookup {
	return Lookup{
		Addresses: func(id meshid.Service) []netip.Addr {
			if id.String() != "ingress/nginx" {
				return nil
			}
			return []netip.Addr{netip.MustParseAddr("10.1.0.9"), netip.MustParseAddr("fd00::9")}
		},
		TargetPorts: func(id meshid.Service) ([]uint16, bool) { return []uint16{8080}, id.String() == "ns/web" },
	}
}

func TestCompile(t *testing.T) {
	web := meshid.Service{Namespace: "ns", Name: "web"}
	nginx := policyv1.IngressSource{Kind: "Service", Name: "nginx", Namespace: "ingress"}
	wide := policyv1.IngressSource{Kind: "IPRange", Name: "10.9.1.1/16"}
	who := policyv1.IngressSource{Kind: "AuthenticatedPrincipal", Name: "a.b.td"}
	ref := snapshot.ObjectRef{Kind: "IngressBackend", Namespace: "ns", Name: "i"}
	p := netip.MustParsePrefix
	for _, c := range []struct {
		name     string
		protocol string
		tls      *policyv1.IngressTLS
		sources  []policyv1.IngressSource
		port     int
		want     *Backend
		reasons  []string
	}{
		{"http", "HTTP", nil, []policyv1.IngressSource{nginx, wide, wide}, 8080, &Backend{Object: ref, Port: 8080, Sources: []netip.Prefix{p("10.1.0.9/32"), p("10.9.0.0/16"), p("fd00::9/128")}}, nil},
		{"everyone", "http", nil, nil, 8080, &Backend{Object: ref, Port: 8080}, []string{"NoSources"}},
		{"principal over http", "http", nil, []policyv1.IngressSource{who}, 8080, nil, []string{"PrincipalsNeedTLS"}},
		{"principal and addresses over http", "http", nil, []policyv1.IngressSource{who, wide}, 8080, &Backend{Object: ref, Port: 8080, Sources: []netip.Prefix{p("10.9.0.0/16")}}, nil},
		{"https", "https", &policyv1.IngressTLS{SNIHosts: []string{"B.example", "*.a.example"}}, []policyv1.IngressSource{who}, 8080,
			&Backend{Object: ref, Port: 8080, HTTPS: true, ServerNames: []string{"*.a.example", "b.example"}, Principals: []string{"a.b.td"}}, nil},
		{"https of any client", "https", &policyv1.IngressTLS{SkipClientCertValidation: true}, []policyv1.IngressSource{who, wide}, 8080,
			&Backend{Object: ref, Port: 8080, HTTPS: true, AnyClient: true, Sources: []netip.Prefix{p("10.9.0.0/16")}}, nil},
		{"https of bad names", "https", &policyv1.IngressTLS{SNIHosts: []string{"*"}}, []policyv1.IngressSource{who}, 8080, nil, []string{"InvalidHost"}},
		{"no endpoints", "http", nil, []policyv1.IngressSource{wide, {Kind: "Service", Name: "gone", Namespace: "ingress"}}, 8080, nil, []string{"EndpointsNotFound"}},
		{"bad range", "http", nil, []policyv1.IngressSource{wide, {Kind: "IPRange", Name: "x"}}, 8080, nil, []string{"InvalidSource"}},
		{"empty principal", "https", nil, []policyv1.IngressSource{{Kind: "AuthenticatedPrincipal"}}, 8080, nil, []string{"InvalidSource"}},
		{"bad kind", "http", nil, []policyv1.IngressSource{{Kind: "Pod"}}, 8080, nil, []string{"InvalidSource"}},
		{"bad protocol", "grpc", nil, []policyv1.IngressSource{wide}, 8080, nil, []string{"InvalidProtocol"}},
		{"other port", "http", nil, []policyv1.IngressSource{wide}, 80, &Backend{Object: ref, Port: 80, Sources: []netip.Prefix{p("10.9.0.0/16")}}, []string{"PortNotFound"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := &policyv1.IngressBackend{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "i"}, Spec: policyv1.IngressBackendSpec{
				Backends: []policyv1.IngressBackendService{{Name: "web", Port: policyv1.IngressPort{Number: c.port, Protocol: c.protocol}, TLS: c.tls}}, Sources: c.sources}}
			got, findings := Compile([]*policyv1.IngressBackend{o}, lookup())
			if c.want == nil {
				require.Empty(t, got)
			} else {
				require.Equal(t, map[meshid.Service][]Backend{web: {*c.want}}, got)
			}
			var reasons []string
			for _, f := range findings {
				require.Equal(t, ref, f.Object)
				reasons = append(reasons, f.Reason)
			}
			require.Equal(t, c.reasons, reasons)
		})
	}
}

func TestTheReasonUsersKnow(t *testing.T) {
	o := &policyv1.IngressBackend{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "i"}, Spec: policyv1.IngressBackendSpec{
		Sources: []policyv1.IngressSource{{Kind: "Service", Name: "gone", Namespace: "ingress"}}}}
	_, findings := Compile([]*policyv1.IngressBackend{o}, lookup())
	require.Equal(t, "endpoints not found for service ingress/gone", findings[0].Message)
	require.Equal(t, map[meshid.Service]bool{{Namespace: "ingress", Name: "gone"}: true}, SourceServices([]*policyv1.IngressBackend{o}))
}

func TestNamespacesAndDuplicates(t *testing.T) {
	object := func(ns, name string) *policyv1.IngressBackend {
		return &policyv1.IngressBackend{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Spec: policyv1.IngressBackendSpec{
			Backends: []policyv1.IngressBackendService{{Name: "web", Port: policyv1.IngressPort{Number: 8080, Protocol: "http"}}},
			Sources:  []policyv1.IngressSource{{Kind: "IPRange", Name: "10.0.0.0/8"}}}}
	}
	got, findings := Compile([]*policyv1.IngressBackend{object("ns", "a"), object("ns", "b"), object("other", "a")}, lookup())
	require.Len(t, got[meshid.Service{Namespace: "ns", Name: "web"}], 1)
	require.Equal(t, "a", got[meshid.Service{Namespace: "ns", Name: "web"}][0].Object.Name)
	require.Len(t, got[meshid.Service{Namespace: "other", Name: "web"}], 1, "of its own namespace, where there is no such service")
	require.Len(t, findings, 2)
	require.Equal(t, "DuplicateBackend", findings[0].Reason)
	require.Equal(t, "ServiceNotFound", findings[1].Reason)
}
