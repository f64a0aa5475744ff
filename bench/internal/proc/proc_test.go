package proc

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// This process works, and takes memory and gives it back.
func TestOfThisProcess(t *testing.T) {
	pid := os.Getpid()
	before := CPU(pid)
	for began := time.Now(); CPU(pid)-before < 5*time.Millisecond; { // others may use the machine too
		require.Less(t, time.Since(began), 20*time.Second, "no processor time is counted")
	}
	now, peak := Memory(pid)
	require.Greater(t, now, 1.0)
	require.GreaterOrEqual(t, peak, now-1)
	Forget(pid)
	require.Zero(t, CPU(1<<30))
}

func TestStarted(t *testing.T) {
	before := time.Now()
	cmd := exec.Command("sleep", "60")
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	began, err := Started(cmd.Process.Pid)
	require.NoError(t, err)
	require.WithinRange(t, began, before.Add(-20*time.Millisecond), time.Now().Add(20*time.Millisecond))
	_, err = Started(1 << 30)
	require.Error(t, err)
}
