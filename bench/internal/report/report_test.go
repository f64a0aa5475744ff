package report

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVerdict(t *testing.T) {
	for _, tc := range []struct {
		row  Row
		want string
	}{
		{Row{Figure: 1}, ""},
		{Row{Figure: 1.0, Must: 1.15, Aim: 1}, "aim"},
		{Row{Figure: 1.1, Must: 1.15, Aim: 1}, "must"},
		{Row{Figure: 1.2, Must: 1.15, Aim: 1}, "MISSED"},
		{Row{Figure: 900, Must: 300, Aim: 800, AtLeast: true}, "aim"},
		{Row{Figure: 400, Must: 300, Aim: 800, AtLeast: true}, "must"},
		{Row{Figure: 200, Must: 300, Aim: 800, AtLeast: true}, "MISSED"},
		{Row{Figure: 0, Must: 1000}, "must"},
	} {
		require.Equal(t, tc.want, tc.row.Verdict(), "%+v", tc.row)
	}
}

func TestTable(t *testing.T) {
	table := &Table{Title: "data plane", Command: "make bench WHAT=dataplane"}
	table.Add(Row{Name: "added p50", Figure: 1.2345, Unit: "×", Must: 1.15, Aim: 1, Runs: 3, Spread: "1.1–1.4"})
	file := filepath.Join(t.TempDir(), "t.json")
	require.NoError(t, table.Write(file))
	back, err := Read(file)
	require.NoError(t, err)
	require.Equal(t, table, back)
	var md, text bytes.Buffer
	require.NoError(t, table.Markdown(&md))
	require.Contains(t, md.String(), "| added p50 | 1.23 | × | 1.15 | 1 | MISSED | 3 | 1.1–1.4 |  |")
	require.NoError(t, table.Text(&text))
	require.Contains(t, text.String(), "MISSED")
}

func TestMedianAndSpread(t *testing.T) {
	require.InDelta(t, 2, Median([]float64{9, 1, 2}), 0)
	require.InDelta(t, 2.5, Median([]float64{9, 1, 3, 2}), 0)
	require.Equal(t, "1.00–9.00", Spread([]float64{9, 1, 2}))
}
