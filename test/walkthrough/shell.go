package walkthrough

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"openservicemesh.io/osm/internal/testkit/cluster"
)

// shell runs commands and shows them.
type shell struct {
	cluster *cluster.Cluster
	out     io.Writer
}

func (s *shell) title(t string) { s.say("\n\033[1m## %s\033[0m", t) }

func (s *shell) say(format string, args ...any) { _, _ = fmt.Fprintf(s.out, format+"\n", args...) }

// ok reports something that is as it should be.
func (s *shell) ok(format string, args ...any) { s.say("   \033[32mok\033[0m "+format, args...) }

// run shows a command and what it printed, and fails when it fails.
func (s *shell) run(ctx context.Context, name string, args ...string) (string, error) {
	return s.show(ctx, 12, name, args...)
}

func (s *shell) show(ctx context.Context, lines int, name string, args ...string) (string, error) {
	s.say("$ %s %s", name, strings.Join(args, " "))
	out, err := s.quiet(ctx, name, args...)
	s.say("%s", indent(last(out, lines)))
	return out, err
}

// quiet runs a command without showing it. The error holds what it printed.
func (s *shell) quiet(ctx context.Context, name string, args ...string) (string, error) {
	return s.cluster.Run(ctx, name, args...)
}

// until repeats a check until it holds. The last failure is what the error says.
func (s *shell) until(ctx context.Context, limit time.Duration, what string, check func() error) error {
	began := time.Now()
	for {
		err := check()
		if err == nil {
			s.ok("%s (%.1f s)", what, time.Since(began).Seconds())
			return nil
		}
		if time.Since(began) > limit {
			return fmt.Errorf("%s: not within %s: %w", what, limit, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// expect fails unless every part is in text.
func expect(text string, parts ...string) error {
	var missing []string
	for _, p := range parts {
		if !strings.Contains(text, p) {
			missing = append(missing, fmt.Sprintf("%q", p))
		}
	}
	if missing == nil {
		return nil
	}
	return errors.New("missing " + strings.Join(missing, ", ") + " in:\n" + indent(last(text, 25)))
}

func indent(s string) string {
	return "   " + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n   ")
}

func last(s string, n int) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	if len(lines) > n {
		lines = append([]string{fmt.Sprintf("… (%d lines)", len(lines)-n)}, lines[len(lines)-n:]...)
	}
	return strings.Join(lines, "\n")
}
