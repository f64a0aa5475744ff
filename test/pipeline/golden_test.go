package pipeline

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// byHand are the files of a case that are input.
var byHand = []string{"in.yaml", "calls.yaml"}

// TestGolden compares what the core makes of every case with what is kept.
func TestGolden(t *testing.T) {
	names := caseNames(t)
	require.GreaterOrEqual(t, len(names), 200)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			c := readCase(t, name)
			outputs := c.outputs(t)
			if *update {
				rewrite(t, c.dir, outputs)
			}
			for file, got := range outputs {
				want, err := os.ReadFile(filepath.Join(c.dir, file))
				require.NoError(t, err, "run go test ./test/pipeline -update")
				require.Empty(t, cmp.Diff(string(want), string(got)), "%s", file)
			}
			for _, file := range filesOf(t, c.dir) {
				_, made := outputs[file]
				require.True(t, made || slices.Contains(byHand, file), "%s/%s is an orphan: nothing makes it", c.dir, file)
			}
		})
	}
}

func rewrite(t *testing.T, dir string, outputs map[string][]byte) {
	t.Helper()
	for _, file := range filesOf(t, dir) {
		if _, made := outputs[file]; !made && !slices.Contains(byHand, file) {
			require.NoError(t, os.Remove(filepath.Join(dir, file)))
		}
	}
	for file, text := range outputs {
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), text, 0o600))
	}
}

func filesOf(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}
