package pki

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"openservicemesh.io/osm/internal/core/meshid"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 7, time.UTC)

func TestPrincipalRefusesOddNames(t *testing.T) {
	long := strings.Repeat("a", 64)
	tests := map[string]struct {
		sa, ns, td, want string
	}{
		"plain":                {"bookbuyer", "bookbuyer", "cluster.local", "bookbuyer.bookbuyer.cluster.local"},
		"dotted account":       {"a.b", "ns", "cluster.local", "a.b.ns.cluster.local"},
		"dotted namespace":     {"a", "b.ns", "cluster.local", ""},
		"NUL":                  {"admin\x00", "ns", "cluster.local", ""},
		"NUL in namespace":     {"admin", "ns\x00.evil", "cluster.local", ""},
		"wildcard":             {"*", "ns", "cluster.local", ""},
		"wildcard trust":       {"a", "ns", "*.local", ""},
		"newline":              {"a\n", "ns", "cluster.local", ""},
		"comma":                {"a,DNS=admin", "ns", "cluster.local", ""},
		"slash":                {"a/b", "ns", "cluster.local", ""},
		"space":                {"a b", "ns", "cluster.local", ""},
		"upper case":           {"Admin", "ns", "cluster.local", ""},
		"unicode":              {"аdmin", "ns", "cluster.local", ""},
		"invalid UTF-8":        {"a\xff", "ns", "cluster.local", ""},
		"empty account":        {"", "ns", "cluster.local", ""},
		"empty namespace":      {"a", "", "cluster.local", ""},
		"empty trust domain":   {"a", "ns", "", ""},
		"trailing dot":         {"a", "ns", "cluster.local.", ""},
		"leading dot":          {".a", "ns", "cluster.local", ""},
		"double dot":           {"a..b", "ns", "cluster.local", ""},
		"leading hyphen":       {"-a", "ns", "cluster.local", ""},
		"trailing hyphen":      {"a-", "ns", "cluster.local", ""},
		"label of 64":          {long, "ns", "cluster.local", ""},
		"principal beyond 253": {strings.Repeat("a.", 120) + "a", "ns", "cluster.local", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Principal(meshid.Identity{Namespace: tt.ns, ServiceAccount: tt.sa}, meshid.TrustDomain(tt.td))
			if tt.want == "" {
				require.Error(t, err)
				_, err = Workload(meshid.Identity{Namespace: tt.ns, ServiceAccount: tt.sa}, meshid.TrustDomain(tt.td), Window{})
				require.Error(t, err, "a template was made of a refused identity")
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
}

// Two different identities must never share a principal, whatever dots a service account holds.
func TestPrincipalsAreDistinct(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sa := rapid.StringMatching(`[a-c](\.[a-c]){0,2}`)
		ns := rapid.StringMatching(`[a-c]{1,2}`)
		a := meshid.Identity{ServiceAccount: sa.Draw(t, "sa1"), Namespace: ns.Draw(t, "ns1")}
		b := meshid.Identity{ServiceAccount: sa.Draw(t, "sa2"), Namespace: ns.Draw(t, "ns2")}
		pa, err := Principal(a, "cluster.local")
		require.NoError(t, err)
		pb, err := Principal(b, "cluster.local")
		require.NoError(t, err)
		require.Equal(t, a == b, pa == pb)
		require.NotEqual(t, ADSName("cluster.local"), pa)
	})
}

func TestWorkloadTemplate(t *testing.T) {
	w := NewWindow(now, 24*time.Hour, now.Add(RootValidity))
	tmpl, err := Workload(meshid.Identity{Namespace: "bookstore", ServiceAccount: "bookstore-v1"}, "cluster.local", w)
	require.NoError(t, err)
	require.Equal(t, "bookstore-v1.bookstore.cluster.local", tmpl.Subject.CommonName)
	require.Equal(t, []string{"Open Service Mesh"}, tmpl.Subject.Organization)
	require.Equal(t, []string{"bookstore-v1.bookstore.cluster.local"}, tmpl.DNSNames)
	require.Equal(t, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, tmpl.ExtKeyUsage)
	require.False(t, tmpl.IsCA)
	require.Empty(t, tmpl.URIs)
	require.Equal(t, "2026-03-01T11:55:00Z", tmpl.NotBefore.Format(time.RFC3339Nano))
	require.Equal(t, "2026-03-02T12:00:00Z", tmpl.NotAfter.Format(time.RFC3339Nano))
}

// X.509 bounds a common name at 64 bytes: the longer principal stays whole in the SAN and has no common name.
func TestLongPrincipalHasNoCommonName(t *testing.T) {
	for _, n := range []int{64 - len(".ns.cluster.local"), 63} {
		sa := strings.Repeat("a", n)
		tmpl, err := Workload(meshid.Identity{Namespace: "ns", ServiceAccount: sa}, "cluster.local", Window{})
		require.NoError(t, err)
		require.Equal(t, []string{sa + ".ns.cluster.local"}, tmpl.DNSNames)
		if len(tmpl.DNSNames[0]) <= 64 {
			require.Equal(t, tmpl.DNSNames[0], tmpl.Subject.CommonName)
		} else {
			require.Empty(t, tmpl.Subject.CommonName)
		}
	}
}

func TestServerTemplate(t *testing.T) {
	tmpl, err := Server([]string{WebhookName("osm-injector", "osm-system"), ADSName("cluster.local")}, Window{})
	require.NoError(t, err)
	require.Equal(t, "osm-injector.osm-system.svc", tmpl.Subject.CommonName)
	require.Equal(t, []string{"osm-injector.osm-system.svc", "ads.cluster.local"}, tmpl.DNSNames)
	_, err = Server(nil, Window{})
	require.ErrorContains(t, err, "at least one name")
	_, err = Server([]string{"ok.svc", "*.svc"}, Window{})
	require.ErrorContains(t, err, `"*" is not a host name label`)
}

func TestRootTemplate(t *testing.T) {
	r := Root(now)
	require.Equal(t, "osm-ca.openservicemesh.io", r.Subject.CommonName)
	require.Equal(t, []string{"US"}, r.Subject.Country)
	require.Equal(t, []string{"CA"}, r.Subject.Locality)
	require.Equal(t, []string{"Open Service Mesh"}, r.Subject.Organization)
	require.True(t, r.IsCA && r.BasicConstraintsValid)
	require.Equal(t, 87600*time.Hour+5*time.Minute, r.NotAfter.Sub(r.NotBefore))
}

func TestServiceValidity(t *testing.T) {
	tests := map[string]struct {
		want time.Duration
		err  string
	}{
		"24h":   {24 * time.Hour, ""},
		"90m":   {90 * time.Minute, ""},
		"10m":   {10 * time.Minute, ""},
		"9m59s": {10 * time.Minute, "below the minimum"},
		"-1h":   {10 * time.Minute, "below the minimum"},
		"0":     {10 * time.Minute, "below the minimum"},
		"":      {24 * time.Hour, "not a duration"},
		"1d":    {24 * time.Hour, "not a duration"},
	}
	for in, tt := range tests {
		got, err := ServiceValidity(in)
		require.Equal(t, tt.want, got, in)
		if tt.err == "" {
			require.NoError(t, err, in)
		} else {
			require.ErrorContains(t, err, tt.err, in)
		}
	}
}

func TestWindowEndsWithTheRoot(t *testing.T) {
	end := now.Add(time.Hour)
	require.Equal(t, end.Truncate(time.Second), NewWindow(now, 24*time.Hour, end).NotAfter)
	require.Equal(t, now.Add(30*time.Minute).Truncate(time.Second), NewWindow(now, 30*time.Minute, end).NotAfter)
}

// With 24h certificates at least 12 hours must be left when a certificate is renewed, whoever it is for.
func TestRenewAtLeavesHalfTheLife(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		life := time.Duration(rapid.Int64Range(int64(MinServiceValidity), int64(RootValidity)).Draw(t, "life"))
		spread := rapid.Float64Range(-1, 2).Draw(t, "spread")
		end := now.Add(life)
		left := end.Sub(RenewAt(end, life, spread))
		require.GreaterOrEqual(t, left, life/2)
		require.LessOrEqual(t, left, life*6/10+1)
	})
	day := now.Add(24 * time.Hour)
	require.Equal(t, day.Add(-12*time.Hour), RenewAt(day, 24*time.Hour, 0))
	require.Equal(t, day.Add(-12*time.Hour-72*time.Minute), RenewAt(day, 24*time.Hour, 0.5))
}

func TestWallHasNoMonotonicReading(t *testing.T) {
	require.NotContains(t, Wall(time.Now()).String(), "m=")
}
