package compat

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/cli"
)

// flag is one documented flag: --name, its one-letter form and its default as cobra prints it.
type documentedFlag struct{ name, short, def string }

// documentedFlags is every documented flag, by command path.
var documentedFlags = map[string][]documentedFlag{
	"": {{"osm-namespace", "", "osm-system"}, {"verbose", "", "false"}},
	"install": {
		{"osm-chart-path", "", ""}, {"mesh-name", "", "osm"}, {"enforce-single-mesh", "", "true"}, {"timeout", "", "5m0s"},
		{"set", "", "[]"}, {"atomic", "", "false"},
	},
	"mesh list":        {{"local-port", "p", "9091"}},
	"mesh upgrade":     {{"mesh-name", "", "osm"}, {"osm-chart-path", "", ""}, {"set", "", "[]"}},
	"namespace add":    {{"mesh-name", "", "osm"}, {"disable-sidecar-injection", "", "false"}},
	"namespace remove": {{"mesh-name", "", "osm"}},
	"namespace ignore": {},
	"namespace list":   {{"mesh-name", "", ""}},
	"uninstall mesh": {
		{"mesh-name", "", ""}, {"force", "f", "false"}, {"delete-cluster-wide-resources", "a", "false"}, {"delete-namespace", "", "false"},
		{"local-port", "p", "9091"}, {"ca-bundle-secret-name", "", "osm-ca-bundle"},
	},
	"metrics enable":         {{"namespace", "", "[]"}},
	"metrics disable":        {{"namespace", "", "[]"}},
	"dashboard":              {{"local-port", "p", "3000"}, {"remote-port", "r", "3000"}, {"open-browser", "b", "true"}},
	"proxy get":              {{"namespace", "n", "default"}, {"file", "f", ""}, {"local-port", "p", "15000"}},
	"proxy set":              {{"namespace", "n", "default"}, {"file", "f", ""}, {"local-port", "p", "15000"}},
	"policy check-pods":      {},
	"policy check-conflicts": {{"namespace", "n", "[]"}},
	"support error-info":     {},
	"support bug-report": {
		{"all", "", "false"}, {"app-namespaces", "", "[]"}, {"app-deployments", "", "[]"}, {"app-pods", "", "[]"}, {"ingress", "", "false"},
		{"out-file", "o", ""},
	},
	"verify connectivity": {
		{"from-pod", "", ""}, {"to-pod", "", ""}, {"to-service", "", ""}, {"app-protocol", "", "http"}, {"to-ext-port", "", "0"},
		{"to-ext-host", "", ""}, {"mesh-name", "", "osm"},
	},
	"verify ingress": {
		{"from-service", "", ""}, {"to-pod", "", ""}, {"to-service", "", ""}, {"ingress-backend", "", ""}, {"to-port", "", "0"},
		{"app-protocol", "", "http"}, {"mesh-name", "", "osm"},
	},
	"verify control-plane-health": {},
	"alpha certificate rotate": {
		{"mesh-name", "", "osm"}, {"trust-domain", "t", ""}, {"accept", "y", "false"}, {"delete", "d", "false"}, {"wait", "w", "1m0s"},
		{"file", "f", ""}, {"meshrootcertificate", "c", ""},
	},
	"version": {{"client-only", "", "false"}, {"version-only", "", "false"}},
	"env":     {},
}

func root(t *testing.T) *cobra.Command {
	t.Helper()
	var out bytes.Buffer
	cmd, err := cli.New(cli.Options{Out: &out, Err: &out, Getenv: func(string) string { return "" }})
	require.NoError(t, err)
	return cmd
}

func TestFlags(t *testing.T) {
	for path, flags := range documentedFlags {
		cmd, rest, err := root(t).Find(strings.Fields(path))
		require.NoError(t, err)
		require.Empty(t, rest, "osm %s is no command", path)
		set := cmd.Flags()
		if path == "" {
			set = cmd.PersistentFlags()
		}
		for _, f := range flags {
			got := set.Lookup(f.name)
			require.NotNil(t, got, "osm %s --%s", path, f.name)
			require.Equal(t, documentedFlag{f.name, f.short, f.def}, documentedFlag{got.Name, got.Shorthand, got.DefValue}, "osm %s", path)
		}
	}
}

func TestAliases(t *testing.T) {
	for alias, want := range map[string]string{
		"ns add": "osm namespace add", "delete mesh": "osm uninstall mesh", "del mesh": "osm uninstall mesh",
		"alpha mrc rotate": "osm alpha certificate rotate",
	} {
		cmd, _, err := root(t).Find(strings.Fields(alias))
		require.NoError(t, err)
		require.Equal(t, want, cmd.CommandPath())
	}
}

func TestRootCommand(t *testing.T) {
	cmd := root(t)
	require.Equal(t, "osm", cmd.Name())
	require.Equal(t, "Install and manage Open Service Mesh", cmd.Short)
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		var out, errOut bytes.Buffer
		opts := cli.Options{Out: &out, Err: &errOut, Getenv: func(string) string { return "" }}
		require.Zero(t, cli.Run(t.Context(), opts, []string{"completion", shell}), errOut.String())
		require.Contains(t, out.String(), "osm", shell)
	}
}
