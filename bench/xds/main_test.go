package main

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMain lets this binary be the processes that the bench starts.
func TestMain(m *testing.M) {
	for _, arg := range os.Args[1:] {
		if arg == "-serve" || arg == "-simulate" {
			main()
			return
		}
	}
	os.Exit(m.Run())
}

// TestSmoke runs the whole bench with a few proxies. Times are nobody's concern here; counts are.
func TestSmoke(t *testing.T) {
	table, err := compare(size{proxies: 12, services: 4, endpoints: 3}, 2, 40, 100*time.Millisecond, "")
	require.NoError(t, err)
	figures := map[string]float64{}
	for _, r := range table.Rows {
		figures[r.Name] = r.Figure
	}
	require.Len(t, figures, 13)
	require.Zero(t, figures["bytes to proxies that are not affected"])
	require.Zero(t, figures["broken streams"])
	require.Positive(t, figures["bytes per affected proxy when a pod joins"])
	require.Less(t, figures["bytes resent to each on reconnect"], 500.0)
	require.Positive(t, figures["all reconnect, last complete"])
}
