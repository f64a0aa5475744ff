package compat

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/testkit/figure"
)

// sizeLimit of the stripped osm command, in bytes: 70 MB.
const sizeLimit = 70e6

// TestBinary builds the osm command as `make build` does: it stays small and its first words come at once.
func TestBinary(t *testing.T) {
	osm := filepath.Join(t.TempDir(), "osm")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-tags", "disable_pgv", "-ldflags", "-s -w -funcalign=16", "-o", osm, "openservicemesh.io/osm/cmd/osm")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	info, err := os.Stat(osm)
	require.NoError(t, err)
	t.Logf("the osm command has %.1f MB, stripped (limit: %.0f MB)", float64(info.Size())/1e6, sizeLimit/1e6)
	require.LessOrEqual(t, info.Size(), int64(sizeLimit), "look at what is linked in: go tool nm -size -sort size")

	quickest := time.Hour
	for range 5 { // a machine that others use too delays some
		began := time.Now()
		out, err := exec.CommandContext(t.Context(), osm, "--help").Output()
		quickest = min(quickest, time.Since(began))
		require.NoError(t, err)
		require.Contains(t, string(out), "Available Commands:")
	}
	words, err := figure.Bar{What: "osm --help ends", Limit: 100 * time.Millisecond}.Judge(quickest)
	t.Log(words)
	require.NoError(t, err)
}
