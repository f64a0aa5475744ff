package cli

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

// Every entry of the tables is about a command or a flag that exists.
func TestCompletionTables(t *testing.T) {
	root, err := New(Options{Getenv: func(string) string { return "" }})
	require.NoError(t, err)
	for path := range completedArguments {
		cmd, rest, err := root.Find(strings.Fields(path))
		require.NoError(t, err, path)
		require.Empty(t, rest, path)
		require.NotNil(t, cmd.ValidArgsFunction, path)
	}
	seen := map[string]bool{}
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		for name := range completedFlags {
			seen[name] = seen[name] || cmd.Flags().Lookup(name) != nil || cmd.PersistentFlags().Lookup(name) != nil
		}
		for _, c := range cmd.Commands() {
			walk(c)
		}
	}
	walk(root)
	for name := range completedFlags {
		require.True(t, seen[name], "no command has a flag --%s", name)
	}
}

// A cluster that is away makes the Tab key neither slow nor loud.
func TestCompletionWithoutACluster(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and never answers
	require.NoError(t, err)
	defer silent.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := closed.Addr().String()
	require.NoError(t, closed.Close())
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	for name, config := range map[string]string{
		"silent":          `{clusters: [{name: c, cluster: {server: "http://` + silent.Addr().String() + `"}}], contexts: [{name: c, context: {cluster: c}}], current-context: c}`,
		"refused":         `{clusters: [{name: c, cluster: {server: "http://` + nobody + `"}}], contexts: [{name: c, context: {cluster: c}}], current-context: c}`,
		"not a file":      "",
		"not understood":  "{",
		"a slow log-in":   `{clusters: [{name: c, cluster: {server: "http://` + nobody + `"}}], users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: sleep, args: ["30"], interactiveMode: Never}}}], contexts: [{name: c, context: {cluster: c, user: u}}], current-context: c}`,
		"nothing chosen":  "{}",
		"no such context": `{current-context: other}`,
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, os.RemoveAll(kubeconfig))
			if config != "" {
				require.NoError(t, os.WriteFile(kubeconfig, []byte(config), 0o600))
			}
			for _, line := range [][]string{{"namespace", "add", ""}, {"describe", "pod", "shop/"}, {"mesh", "upgrade", "--mesh-name", ""}} {
				var out, errs bytes.Buffer
				opts := Options{Out: &out, Err: &errs, Getenv: func(string) string { return "" }}
				began := time.Now()
				code := Run(t.Context(), opts, append([]string{"__completeNoDesc", "--kubeconfig", kubeconfig}, line...))
				require.Zero(t, code)
				require.Less(t, time.Since(began), completionPatience+time.Second)
				require.Equal(t, ":4\n", out.String(), "nothing is offered, and no files")
				require.Equal(t, "Completion ended with directive: ShellCompDirectiveNoFileComp\n", errs.String())
			}
		})
	}
}
