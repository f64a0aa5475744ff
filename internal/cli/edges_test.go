package cli

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/adminapi"
	"openservicemesh.io/osm/internal/core/describe"
)

// Mutual TLS counts as proven only while every sidecar of both ends shows what it takes.
func TestProve(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	sidecar := func(change func(*proxyStatus)) proxyStatus {
		p := proxyStatus{Connected: true, Proxy: adminapi.Proxy{Namespace: "n", Pod: "p", Generation: 3, Acked: 3, Types: map[string]adminapi.Type{},
			Certificate: &adminapi.Certificate{Root: "r1", NotAfter: now.Add(time.Hour)}}}
		for _, name := range proxyTypes {
			p.Types[name] = adminapi.Type{State: "SYNCED"}
		}
		if change != nil {
			change(&p)
		}
		return p
	}
	good := []proxyStatus{sidecar(nil)}
	one := func(change func(*proxyStatus)) []proxyStatus { return []proxyStatus{sidecar(nil), sidecar(change)} }
	for name, tc := range map[string]struct {
		from, to []proxyStatus
		lessEdge bool
		want     string
	}{
		"proven":            {from: good, to: good},
		"no caller":         {to: good, want: "no sidecar of the caller"},
		"nobody answers":    {from: good, want: "no pod with a sidecar answers"},
		"no policy":         {from: good, to: good, lessEdge: true, want: "no policy of the backend lets the caller in"},
		"not connected":     {from: good, to: one(func(p *proxyStatus) { p.Connected = false }), want: "n/p: its sidecar is NOT CONNECTED"},
		"refuses":           {from: good, to: one(func(p *proxyStatus) { p.Types["LDS"] = adminapi.Type{State: "REJECTED"} }), want: "n/p: its sidecar is REJECTED"},
		"behind":            {from: one(func(p *proxyStatus) { p.Acked = 2 }), to: good, want: "n/p: its sidecar is STALE"},
		"no certificate":    {from: one(func(p *proxyStatus) { p.Certificate = nil }), to: good, want: "n/p: it has acknowledged no certificate"},
		"certificate ended": {from: good, to: one(func(p *proxyStatus) { p.Certificate.NotAfter = now }), want: "n/p: its certificate ended at 2026-01-02T03:04:05Z"},
		"two roots":         {from: good, to: one(func(p *proxyStatus) { p.Certificate.Root = "r2" }), want: "n/p: certificates of two roots: the root is being changed"},
	} {
		t.Run(name, func(t *testing.T) {
			e := describe.Edge{Source: "a.n", Servers: []string{"b.n"}, Policies: []string{"n/t"}}
			if tc.lessEdge {
				e.Policies = nil
			}
			got := prove(e, map[string][]proxyStatus{"a.n": tc.from, "b.n": tc.to}, now)
			require.Equal(t, tc.want, got.Reason)
			require.Equal(t, tc.want == "", got.Secured)
		})
	}
}
