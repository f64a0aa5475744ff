package transcript

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/cli"
)

// Every command that does something is run by a script, with each of its flags.
func TestEveryCommandAndFlagHasATranscript(t *testing.T) {
	root, err := cli.New(cli.Options{Getenv: func(string) string { return "" }})
	require.NoError(t, err)
	used := map[*cobra.Command]map[string]bool{}
	for _, line := range commandLines(t) {
		cmd, rest, err := root.Find(line)
		if err != nil {
			continue
		}
		if used[cmd] == nil {
			used[cmd] = map[string]bool{}
		}
		for _, word := range rest {
			if f := flagOf(cmd, word); f != nil {
				used[cmd][f.Name] = true
			}
		}
	}
	everywhere := map[string]bool{}
	for _, flags := range used {
		for name := range flags {
			everywhere[name] = true
		}
	}
	root.PersistentFlags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden && !everywhere[f.Name] {
			t.Errorf("no script uses --%s", f.Name)
		}
	})
	walk(root, func(cmd *cobra.Command) {
		if !cmd.Runnable() || used[cmd] == nil {
			if cmd.Runnable() {
				t.Errorf("no script runs %q", cmd.CommandPath())
			}
			return
		}
		cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" && !f.Hidden && !used[cmd][f.Name] {
				t.Errorf("no script runs %q with --%s", cmd.CommandPath(), f.Name)
			}
		})
	})
}

// commandLines are the arguments of every run of osm in the scripts.
func commandLines(t *testing.T) [][]string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var out [][]string
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			words := strings.Fields(line)
			for len(words) > 0 && (words[0] == "!" || strings.HasPrefix(words[0], "[")) {
				words = words[1:]
			}
			if len(words) > 2 && words[0] == "exec" && slices.Contains([]string{"osm", "kubectl-osm"}, words[1]) {
				out = append(out, words[2:])
			}
		}
	}
	return out
}

// flagOf is the flag that a word of a command line sets.
func flagOf(cmd *cobra.Command, word string) *pflag.Flag {
	if name, long := strings.CutPrefix(word, "--"); long {
		name, _, _ = strings.Cut(name, "=")
		if f := cmd.Flags().Lookup(name); f != nil {
			return f
		}
		return cmd.InheritedFlags().Lookup(name)
	}
	if len(word) == 2 && word[0] == '-' {
		return cmd.Flags().ShorthandLookup(word[1:])
	}
	return nil
}

func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, sub := range cmd.Commands() {
		walk(sub, visit)
	}
}
