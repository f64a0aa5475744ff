package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/bench/internal/report"
)

func TestChoose(t *testing.T) {
	all, err := choose("")
	require.NoError(t, err)
	for _, b := range benches {
		require.DirExists(t, b.program, "each is measured by a program of this folder")
		require.Equal(t, b.long, !slices.Contains(all, b.name), "long ones are run when they are named")
	}
	named, err := choose("churn,growth")
	require.NoError(t, err)
	require.Equal(t, []string{"churn", "growth"}, named)
	_, err = choose("dataplane,nothing")
	require.ErrorContains(t, err, `"nothing": there is no such bench; there are `)
}

func TestInsert(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	require.NoError(t, os.WriteFile(page, []byte("above\n<!-- begin a -->\nold\n<!-- end a -->\nbelow\n"), 0o644))
	require.NoError(t, insert(page, "a", &report.Table{Title: "T", Rows: []report.Row{{Name: "n", Figure: 1}}}))
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Regexp(t, `(?s)^above\n<!-- begin a -->\n## T\n.*\| n \| 1 \|.*<!-- end a -->\nbelow\n$`, string(text))
	require.ErrorContains(t, insert(page, "b", &report.Table{}), "no place for the table")
	for _, other := range []string{"<!-- end a -->\n", "<!-- begin a -->\n<!-- end a -->\n"} {
		require.NoError(t, os.WriteFile(page, append(text, other...), 0o644))
		require.ErrorContains(t, insert(page, "a", &report.Table{}), "each once")
	}
}
