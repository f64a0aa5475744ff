package v1alpha4

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHeaderMatchesAreOrderedAndUnique(t *testing.T) {
	match := HTTPMatch{Headers: []map[string]string{
		{"x-b": "2"},
		{"x-a": "2", "host": "example.com"},
		{"x-a": "1"},
		{"x-b": "2"},
		{},
	}}
	want := []HeaderMatch{{"host", "example.com"}, {"x-a", "1"}, {"x-a", "2"}, {"x-b", "2"}}
	for range 20 { // maps have no order of their own
		require.Equal(t, want, match.HeaderMatches())
	}
	require.Empty(t, (&HTTPMatch{}).HeaderMatches())
}
