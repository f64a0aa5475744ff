package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/bench/internal/report"
)

// TestMain lets this binary be the processes that the bench starts.
func TestMain(m *testing.M) {
	if slices.Contains(os.Args, "-bench-main") || slices.Contains(os.Args, "-fleet") || slices.Contains(os.Args, "-inside") {
		os.Args = slices.DeleteFunc(os.Args, func(a string) bool { return a == "-bench-main" })
		main()
		return
	}
	os.Exit(m.Run())
}

// TestSmoke runs the whole bench with a few sidecars. Times are nobody's concern here; counts are.
func TestSmoke(t *testing.T) {
	if os.Getenv("OSM_BENCH_SMOKE") == "" {
		t.Skip("it needs root and the compiled local cluster; make e2e runs it with OSM_BENCH_SMOKE=1")
	}
	file := filepath.Join(t.TempDir(), "table.json")
	cmd := exec.Command(os.Args[0], "-bench-main", "-pods", "24", "-services", "6", "-endpoints", "24", "-rounds", "2", "-rest", "1s", "-json", file)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	t.Logf("%s", out)
	table, err := report.Read(file)
	require.NoError(t, err)
	figures := map[string]float64{}
	for _, r := range table.Rows {
		figures[r.Name] = r.Figure
	}
	require.Greater(t, len(figures), 25)
	require.Zero(t, figures["token reviews for that"], "tokens are verified with the published keys of a real API server")
	require.Zero(t, figures["streams that ended unasked until here"])
	require.Zero(t, figures["sidecars that got bytes although not concerned"])
	require.Less(t, figures["bytes resent to each on reconnect"], 1000.0)
	require.Positive(t, figures["one endpoint changes, last acknowledgement"])
	require.Positive(t, figures["controller killed → all complete with another"])
}

// TestChurnSmoke has a few sidecars' world change for some seconds.
func TestChurnSmoke(t *testing.T) {
	if os.Getenv("OSM_BENCH_SMOKE") == "" {
		t.Skip("it needs root and the compiled local cluster; make e2e runs it with OSM_BENCH_SMOKE=1")
	}
	file := filepath.Join(t.TempDir(), "table.json")
	cmd := exec.Command(os.Args[0], "-bench-main", "-churn", "12s", "-pods", "24", "-services", "6", "-endpoints", "24", "-json", file)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	table, err := report.Read(file)
	require.NoError(t, err)
	last := table.Rows[len(table.Rows)-1]
	require.Positive(t, last.Figure)
	require.NotContains(t, last.Note, " 0 times", "everything has happened")
}

func TestGrowthIsTold(t *testing.T) {
	xs := []float64{0, 1, 2, 3}
	grown, noise := growthOf(xs, []float64{100, 110, 120, 130}, 0.05)
	require.InDelta(t, 30, grown, 1e-9)
	require.Greater(t, grown, noise)
	grown, noise = growthOf(xs, []float64{100, 103, 99, 102}, 0.05)
	require.Less(t, grown, noise)
	grown, noise = growthOf(xs, []float64{130, 120, 110, 100}, 0.05)
	require.Less(t, grown, noise, "less is not more")
}

func TestHeapAlloc(t *testing.T) {
	mb, err := heapAlloc("heap profile: 1: 2\n# Alloc = 3\n# HeapAlloc = 2097152\n# HeapSys = 4\n")
	require.NoError(t, err)
	require.InDelta(t, 2.0, mb, 1e-9)
	_, err = heapAlloc("connection refused")
	require.ErrorContains(t, err, "debug server")
}

// Of each size the figures are told, and lines over proxies and over services.
func TestSlopesOfGrowth(t *testing.T) {
	var table report.Table
	var all []grown
	for _, z := range sizesOf(1000, 100) {
		all = append(all, grown{size: z, joined: float64(z.pods)/10 + float64(z.services)})
	}
	require.Len(t, all, 3)
	slopes(&table, "memory", "kB", 1000, all, func(g grown) float64 { return g.joined })
	require.Len(t, table.Rows, 2)
	require.InDelta(t, 100, table.Rows[0].Figure, 1e-6, "kB per proxy")
	require.InDelta(t, 1000, table.Rows[1].Figure, 1e-6, "kB per service")
}

func TestSlope(t *testing.T) {
	require.InDelta(t, 2.0, slope([]float64{1, 2, 3}, []float64{1, 3, 5}), 1e-9)
	require.Zero(t, slope([]float64{1, 1}, []float64{1, 3}))
}

func TestFlagsThatCannotBe(t *testing.T) {
	for _, z := range []size{{1, 1, 1}, {1, 2, 2}, {4, 2, 1}, {4, 2, 501}} {
		require.Error(t, options{size: z, rounds: 1}.check(), "%v", z)
	}
	require.ErrorContains(t, options{size: size{4, 2, 4}}.check(), "-rounds 0")
	require.NoError(t, options{size: size{4, 2, 4}, rounds: 1}.check())
}
