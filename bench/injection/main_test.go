package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/bench/internal/report"
)

func TestRun(t *testing.T) {
	reviews, err := load()
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(reviews), 4)
	var out strings.Builder
	table := &report.Table{}
	require.NoError(t, run(&out, reviews, 20, 0, table))
	require.Len(t, table.Rows, 5)
	for _, r := range table.Rows {
		require.Positive(t, r.Figure, r.Name)
	}
	require.Contains(t, out.String(), "20 reviews")
	require.ErrorContains(t, run(&out, reviews, 20, time.Nanosecond, table), "above")
	require.ErrorContains(t, run(&out, [][]byte{[]byte("{}")}, 1, 0, table), "not answered with a patch")
}
