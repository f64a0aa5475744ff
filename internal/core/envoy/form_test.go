package envoy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"openservicemesh.io/osm/internal/core/ir"
	"openservicemesh.io/osm/internal/core/meshid"
)

// calledBy is a proxy whose certificate has a name and that calls one service.
func calledBy(cert string, alike *ir.Cluster) ir.Proxy {
	c := ir.Cluster{
		Name: "shop/web|80", Kind: ir.Mesh, Protocol: meshid.HTTP, ServerName: "web.shop.svc.cluster.local",
		TrustSecret: "root-cert-for-mtls-outbound:shop/web", Accepted: []string{"web.shop.cluster.local"},
	}
	c.CertSecret, c.Alike = cert, alike
	return ir.Proxy{Clusters: []ir.Cluster{c}}
}

// A cluster made of the form that callers have in common has the bytes, the version and the references of one encoded alone.
func TestFormsAreEncodedLikeTheWhole(t *testing.T) {
	m := NewMemory()
	common := &calledBy("", nil).Clusters[0]
	for _, cert := range []string{"", "service-cert:a/a", "service-cert:b/b", "service-cert:a/longer", "service-cert:a/" + strings.Repeat("x", 200), "~", "~~~^"} {
		for _, alike := range []*ir.Cluster{nil, common} {
			set, err := m.Translate(calledBy(cert, alike), nil, nil)
			require.NoError(t, err)
			got := set.Get(Cluster, "shop/web|80")
			c := calledBy(cert, nil).Clusters[0]
			want, err := NewResource(Cluster, c.Name, meshCluster(c, ir.TLS{}), Ref{Endpoint, c.Name}, Ref{Secret, c.CertSecret}, Ref{Secret, c.TrustSecret})
			require.NoError(t, err)
			require.True(t, proto.Equal(want.Body(), got.Body()), cert)
			require.Equal(t, want.Version, got.Version)
			require.Equal(t, want.Refs, got.Refs)
			require.Equal(t, want.Size(), got.Size())
			require.True(t, got.Known())
		}
	}
	require.Len(t, m.forms, 6, "one for each length")
}

// What a user writes cannot be taken for the gap.
func TestFillersOfAUserAreNoGap(t *testing.T) {
	p := calledBy("service-cert:a/a", nil)
	p.TLS.CipherSuites = []string{strings.Repeat(gapFillers[0], 20)}
	set, err := Translate(p, nil)
	require.NoError(t, err)
	want, err := NewResource(Cluster, "shop/web|80", meshCluster(p.Clusters[0], p.TLS))
	require.NoError(t, err)
	require.Equal(t, want.Version, set.List(Cluster)[0].Version)

	p.TLS.Curves = []string{strings.Repeat(gapFillers[1], 20)}
	_, err = Translate(p, nil)
	require.ErrorContains(t, err, "cluster shop/web|80 has names of 16 characters ~ or ^")
}

// BenchmarkCallersOf is the encoding of what another caller calls, when the first has been encoded.
func BenchmarkCallersOf(b *testing.B) {
	for _, n := range []int{100, 1000} {
		b.Run(fmt.Sprint("services=", n), func(b *testing.B) {
			b.ReportAllocs()
			m, common := NewMemory(), make([]ir.Cluster, n)
			p := ir.Proxy{}
			for i := range common {
				common[i] = calledBy("", nil).Clusters[0]
				common[i].Name = fmt.Sprint("shop/web-", i, "|80")
				one := common[i]
				one.Alike = &common[i]
				p.Clusters = append(p.Clusters, one)
			}
			for k := 0; b.Loop(); k++ {
				for i := range p.Clusters {
					p.Clusters[i].CertSecret = fmt.Sprintf("service-cert:a/%08d", k)
				}
				if _, err := m.Translate(p, nil, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
