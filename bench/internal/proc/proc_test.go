package proc

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// This process works, and takes memory and gives it back.
func TestOfThisProcess(t *testing.T) {
	pid := os.Getpid()
	before := CPU(pid)
	for begin := time.Now(); time.Since(begin) < 20*time.Millisecond; {
	}
	require.Greater(t, CPU(pid)-before, 5*time.Millisecond)
	now, peak := Memory(pid)
	require.Greater(t, now, 1.0)
	require.GreaterOrEqual(t, peak, now-1)
	Forget(pid)
	require.Zero(t, CPU(1<<30))
}
