package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRun(t *testing.T) {
	reviews, err := load()
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(reviews), 4)
	var out strings.Builder
	require.NoError(t, run(&out, reviews, 20, 0))
	require.Contains(t, out.String(), "20 reviews")
	require.ErrorContains(t, run(&out, reviews, 20, time.Nanosecond), "above")
	require.ErrorContains(t, run(&out, [][]byte{[]byte("{}")}, 1, 0), "not answered with a patch")
}
