package shells

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// screen collects what a terminal shows.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// terminal runs a command line on a terminal of its own. keys types on it; wait returns how the command ended.
func (m machine) terminal(line string, env ...string) (shown *screen, keys io.Writer, wait func() error) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), time.Minute)
	m.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, needs(m.t, "script", "Debian's package bsdutils"), "--quiet", "--return", "--command", line, filepath.Join(m.dir, "typescript"))
	cmd.Dir = m.dir
	cmd.Env = append(os.Environ(), append([]string{"HOME=" + m.dir, "KUBECONFIG=" + filepath.Join(m.dir, "kubeconfig"),
		"PATH=" + filepath.Join(m.dir, "bin") + ":" + os.Getenv("PATH"), "TERM=xterm", "NO_COLOR="}, env...)...)
	shown = &screen{}
	cmd.Stdout = shown
	keys, err := cmd.StdinPipe()
	require.NoError(m.t, err)
	require.NoError(m.t, cmd.Start())
	return shown, keys, cmd.Wait
}

const verifying = "osm verify connectivity --from-pod shop/cart-1 --to-pod shop/cart-2 --to-service cart"

// Colours are for people who look at a terminal and did not say that they want none.
func TestColours(t *testing.T) {
	const coloured = "\x1b["
	m := newMachine(t)
	for name, c := range map[string]struct {
		line string
		env  []string
		want bool
	}{
		"a terminal":         {verifying, nil, true},
		"a pipe":             {verifying + " | cat", nil, false},
		"NO_COLOR":           {verifying, []string{"NO_COLOR=1"}, false},
		"a terminal without": {verifying, []string{"TERM=dumb"}, false},
	} {
		shown, _, wait := m.terminal(c.line, c.env...)
		_ = wait() // the verification fails, which is what there is to colour
		require.Contains(t, shown.String(), "Failure", name)
		require.Equal(t, c.want, strings.Contains(shown.String(), coloured), "%s: %q", name, shown)
	}
}

// Ctrl-C at a question ends the command, and nothing was done.
func TestInterruptAtAQuestion(t *testing.T) {
	m := newMachine(t)
	shown, keys, wait := m.terminal("exec osm uninstall mesh")
	require.Eventually(t, func() bool { return strings.Contains(shown.String(), "[y/n]: ") }, 30*time.Second, 20*time.Millisecond, "%s", shown)
	_, err := io.WriteString(keys, "\x03")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return strings.Contains(shown.String(), "Error: interrupted before the answer; nothing was uninstalled")
	}, 10*time.Second, 20*time.Millisecond, "%s", shown)
	var ended *exec.ExitError
	require.ErrorAs(t, wait(), &ended)
	require.Equal(t, 1, ended.ExitCode())
	require.Contains(t, m.succeeds(filepath.Join(m.dir, "bin", "osm"), "mesh", "list"), "osm-system")
}
