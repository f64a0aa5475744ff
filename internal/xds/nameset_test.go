package xds

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestNameSetIsASet compares with a map, and sees to it that names noted again and again take no space.
func TestNameSetIsASet(t *testing.T) {
	name := rapid.StringMatching("[a-d]{1,3}")
	rapid.Check(t, func(t *rapid.T) {
		var got nameSet
		want := map[string]bool{}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				for _, n := range rapid.SliceOfN(name, 1, 300).Draw(t, "names") {
					got.add(n)
					want[n] = true
				}
			},
			"remove": func(t *rapid.T) {
				n := name.Draw(t, "name")
				got.remove(n)
				delete(want, n)
			},
			"keep": func(t *rapid.T) {
				least := name.Draw(t, "least")
				before := got.len()
				got.keep(func(n string) bool {
					require.True(t, got.has(n))
					require.Equal(t, before, got.len(), "the set is whole meanwhile")
					return n >= least
				})
				maps.DeleteFunc(want, func(n string, _ bool) bool { return n < least })
			},
			"": func(t *rapid.T) {
				require.LessOrEqual(t, len(got.list), 2*len(want)+smallSet+1)
				require.True(t, slices.Equal(slices.Sorted(maps.Keys(want)), got.sorted()))
				n := name.Draw(t, "name")
				require.Equal(t, want[n], got.has(n))
			},
		})
	})
}
