package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The page is the one of values.yaml as it stands, in which every value is described.
func TestUpToDate(t *testing.T) {
	require.NoError(t, run("../../charts/osm", true))
}

func TestReference(t *testing.T) {
	page, err := reference([]byte(`
# A remark about the file.

# -- Of a.
a:
  b: 1
  # -- Of c, a|b,
  # on two lines.
  c: ["x", y]
  affinity: {k: v}
`))
	require.NoError(t, err)
	require.Equal(t, intro+"| `a.b` | `1` | Of a. |\n| `a.c` | `[\"x\", y]` | Of c, a\\|b, on two lines. |\n| `a.affinity` | `see values.yaml` | Of a. |\n", string(page))
	_, err = reference([]byte("a: {b: 1}\n"))
	require.EqualError(t, err, `a.b has no description: write a comment "# -- …" above it`)
	_, err = reference(nil)
	require.EqualError(t, err, "no values")
}
