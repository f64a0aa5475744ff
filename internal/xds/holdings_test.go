package xds

import (
	"fmt"
	"maps"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"openservicemesh.io/osm/internal/core/envoy"
)

// TestHoldingsAreAMap does the same to holdings and to a map, and puts holdings to rest whenever it likes.
func TestHoldingsAreAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var clusters, h holdings
		like := map[string]*entry{}
		version := func(name string, n int) *envoy.Resource { return &envoy.Resource{Name: name, Version: fmt.Sprint(n)} }
		for i := range 12 {
			clusters.entry(fmt.Sprint(i)).cur = version(fmt.Sprint(i), i%2)
		}
		clusters.rest(nil)
		name := func(t *rapid.T) string { return fmt.Sprint(rapid.IntRange(0, 15).Draw(t, "name")) }

		t.Repeat(map[string]func(*rapid.T){
			"expect": func(t *rapid.T) { h.expect(rapid.IntRange(0, 20).Draw(t, "n")) },
			"change": func(t *rapid.T) {
				n := name(t)
				to := entry{named: rapid.Bool().Draw(t, "named"), with: rapid.SampledFrom([]string{"0", "1"}).Draw(t, "with")}
				if rapid.IntRange(0, 5).Draw(t, "cur") > 0 {
					to.cur = version(n, rapid.IntRange(0, 9).Draw(t, "version"))
				}
				if rapid.IntRange(0, 5).Draw(t, "open") == 0 {
					to.open = &open{leaving: true}
				}
				if like[n] == nil {
					like[n] = &entry{}
				}
				*h.entry(n) = to
				*like[n] = to
			},
			"take": func(t *rapid.T) {
				n := name(t)
				require.Equal(t, like[n], h.take(n))
			},
			"drop": func(t *rapid.T) {
				n := name(t)
				h.drop(n)
				delete(like, n)
			},
			"rest": func(*rapid.T) {
				h.rest(&clusters)
				for n, e := range h.apart {
					of, _ := clusters.look(n)
					require.True(t, e != nil && (e.cur == nil || e.open != nil || of.cur == nil || of.cur.Version != e.with), "%s is certain and not put away", n)
				}
			},
			"": func(t *rapid.T) {
				require.Equal(t, len(like), h.len())
				all := map[string]*entry{}
				for n, e := range h.all() {
					require.Nil(t, all[n])
					all[n] = &e
				}
				require.Equal(t, like, all)
				for i := range 16 {
					n := fmt.Sprint(i)
					e, ok := h.look(n)
					require.Equal(t, like[n] != nil, ok)
					require.Equal(t, ok, h.has(n))
					if ok {
						require.Equal(t, *like[n], e)
					}
				}
			},
		})
		for n := range h.all() {
			h.drop(n)
		}
		require.Zero(t, h.len())
		require.Empty(t, maps.Collect(h.all()))
	})
}
