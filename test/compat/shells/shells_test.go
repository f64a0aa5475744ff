package shells

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/cli"
	"openservicemesh.io/osm/internal/testkit/fakeapi"
)

// TestMain is the osm command where the test's program is run by one of the command's names.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "osm", "kubectl-osm":
		os.Exit(cli.Main())
	}
	os.Exit(m.Run())
}

const objects = `apiVersion: apps/v1
kind: Deployment
metadata: {namespace: osm-system, name: osm-controller, labels: {app: osm-controller, meshName: osm, app.kubernetes.io/version: v1.3.0}}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {openservicemesh.io/monitored-by: osm}}
---
apiVersion: v1
kind: Pod
metadata: {namespace: shop, name: cart-1, labels: {osm-proxy-uuid: a}}
---
apiVersion: v1
kind: Pod
metadata: {namespace: shop, name: cart-2, labels: {osm-proxy-uuid: b}}
`

// machine is a folder with the command in it and an API server that a kubeconfig leads to.
type machine struct {
	t           *testing.T
	dir, server string
}

func newMachine(t *testing.T) machine {
	t.Helper()
	server := fakeapi.New()
	t.Cleanup(server.Close)
	require.NoError(t, server.Load([]byte(objects)))
	self, err := os.Executable()
	require.NoError(t, err)
	m := machine{t, t.TempDir(), server.URL}
	require.NoError(t, os.Mkdir(filepath.Join(m.dir, "bin"), 0o700))
	for _, name := range []string{"osm", "kubectl-osm"} {
		require.NoError(t, os.Symlink(self, filepath.Join(m.dir, "bin", name)))
	}
	m.write("kubeconfig", fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: fake, clusters: [{name: fake, cluster: {server: "%s"}}],
contexts: [{name: fake, context: {cluster: fake}}]}`, server.URL))
	return m
}

func (m machine) write(name, text string) string {
	m.t.Helper()
	path := filepath.Join(m.dir, name)
	require.NoError(m.t, os.WriteFile(path, []byte(text), 0o700))
	return path
}

// run runs a program and returns what it printed, and an error with the rest.
func (m machine) run(program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(m.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = m.dir
	cmd.Env = append(os.Environ(), "HOME="+m.dir, "KUBECONFIG="+filepath.Join(m.dir, "kubeconfig"), "PATH="+filepath.Join(m.dir, "bin")+":"+os.Getenv("PATH"), "TERM=dumb")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s%s", program, strings.Join(args, " "), err, out, &stderr)
	}
	return string(out), err
}

func (m machine) succeeds(program string, args ...string) string {
	m.t.Helper()
	out, err := m.run(program, args...)
	require.NoError(m.t, err)
	return out
}

func needs(t *testing.T, program, where string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("%s is not installed on this machine (%s); its completion is not tested", program, where)
	}
	return path
}

// pressed are words that the Tab key is pressed after, and what the shell then offers.
var pressed = map[string][]string{
	"osm mesh up":                    {"upgrade"},
	"osm mesh upgrade --mesh-name ":  {"osm"},
	"osm policy check-conflicts In":  {"IngressBackend"},
	"osm describe pod ":              {"shop/"},
	"osm describe pod shop/cart":     {"shop/cart-1", "shop/cart-2"},
	"osm proxy get -n shop certs ca": {"cart-1", "cart-2"},
	"osm mesh list ":                 nil, // and no files
}

func TestBash(t *testing.T) {
	needs(t, "bash", "a package of every distribution")
	const library = "/usr/share/bash-completion/bash_completion"
	if _, err := os.Stat(library); err != nil {
		t.Skip("the package bash-completion, which completion in bash builds on, is not installed on this machine; completion in bash is not tested")
	}
	m := newMachine(t)
	script := m.write("press.bash", `
source `+library+`
source <(osm completion bash)
COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9
read -ra COMP_WORDS <<<"$1"
[[ $1 != *' ' ]] || COMP_WORDS+=('')
COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
compopt() { :; } # which the shell itself provides while it completes
$(complete -p osm | sed 's/.*-F \([^ ]*\).*/\1/') osm "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\n' "${COMPREPLY[@]}"
`)
	offers(t, func(line string) string { return m.succeeds("bash", "--norc", script, line) })
}

func TestZsh(t *testing.T) {
	needs(t, "zsh", "Debian's package zsh")
	m := newMachine(t)
	m.write("_osm", m.succeeds(filepath.Join(m.dir, "bin", "osm"), "completion", "zsh"))
	// A zsh on a terminal of its own, whose completion system lists what it would offer.
	script := m.write("press.zsh", `
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "PS1=; fpath=($PWD \$fpath); autoload -Uz compinit; compinit -u -d $PWD/dump"
zpty -w z 'compadd() { builtin compadd -A found "$@"; (( $+found )) && print -rl -- OFFER:$^found; builtin compadd "$@"; }'
zpty -w z 'zstyle ":completion:*" list-prompt ""; LISTMAX=0; print READY'
zpty -r -m z line '*READY*READY*'
zpty -w -n z "$1"$'\t'
zpty -w z $'\x15'
zpty -w z 'print END'
while zpty -r -t z line || zpty -r z line; do
	print -r -- "$line"
	[[ $line == *END* && $line != *print* ]] && break
done
zpty -d z
`)
	offers(t, func(line string) string {
		var found []string
		// A key that comes before zsh's line editor has taken over the terminal is lost, as on any terminal.
		for range 5 {
			for _, l := range strings.Split(m.succeeds("zsh", "-f", script, line), "\n") {
				if _, offer, ok := strings.Cut(strings.TrimRight(l, "\r"), "OFFER:"); ok {
					found = append(found, offer)
				}
			}
			if len(found) > 0 {
				break
			}
		}
		slices.Sort(found)
		return strings.Join(slices.Compact(found), "\n") // zsh asks once for each of its completers
	})
}

func TestFish(t *testing.T) {
	needs(t, "fish", "Debian's package fish")
	m := newMachine(t)
	script := m.write("press.fish", "osm completion fish | source\ncomplete -C $argv[1]\n")
	offers(t, func(line string) string {
		var found []string
		for _, l := range strings.Split(m.succeeds("fish", "--no-config", script, line), "\n") {
			word, _, _ := strings.Cut(l, "\t") // a description follows
			found = append(found, word)
		}
		return strings.Join(found, "\n")
	})
}

func TestPowerShell(t *testing.T) {
	needs(t, "pwsh", "no package of Debian")
	m := newMachine(t)
	script := m.write("press.ps1", `param([string]$line)
osm completion powershell | Out-String | Invoke-Expression
[System.Management.Automation.CommandCompletion]::CompleteInput($line, $line.Length, $null).CompletionMatches | ForEach-Object { $_.CompletionText }
`)
	offers(t, func(line string) string { return m.succeeds("pwsh", "-NoProfile", script, line) })
}

func offers(t *testing.T, press func(line string) string) {
	t.Helper()
	for line, want := range pressed {
		t.Run(line, func(t *testing.T) {
			var got []string
			for _, l := range strings.Split(press(line), "\n") {
				if l = strings.TrimSpace(l); l != "" {
					got = append(got, l)
				}
			}
			require.ElementsMatch(t, want, got)
		})
	}
}

// The command as a plug-in of kubectl: found by name, told its arguments, its exit code passed on, its names completed.
func TestKubectlPlugin(t *testing.T) {
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		if kubectl, err = filepath.Abs("../../../bin/kubectl"); err == nil {
			_, err = os.Stat(kubectl)
		}
	}
	if err != nil {
		t.Skip("neither kubectl nor bin/kubectl (make build) is there; the plug-in is not tested")
	}
	m := newMachine(t)
	require.Contains(t, m.succeeds(kubectl, "plugin", "list"), "kubectl-osm")
	require.Contains(t, m.succeeds(kubectl, "osm", "mesh", "list"), "osm         osm-system")
	require.Contains(t, m.succeeds(kubectl, "osm", "namespace", "list", "--osm-namespace=osm-system", "-o", "json"), `"shop"`)
	require.Contains(t, m.succeeds(kubectl, "osm", "mesh", "list", "--help"), "kubectl osm mesh list [flags]")

	_, err = m.run(kubectl, "osm", "nonsense")
	require.ErrorContains(t, err, `Error: unknown command "nonsense" for "kubectl osm"`)
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, 1, exit.ExitCode())

	// As docs/guides/cli.md says: kubectl asks a program of this name.
	require.NoError(t, os.WriteFile(filepath.Join(m.dir, "bin", "kubectl_complete-osm"), []byte("#!/bin/sh\nexec kubectl-osm __complete \"$@\"\n"), 0o700))
	require.Contains(t, m.succeeds(kubectl, "__complete", "osm", "describe", "pod", "shop/"), "shop/cart-1\nshop/cart-2\n:4\n")
}
