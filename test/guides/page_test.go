package guides

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/version"
	"openservicemesh.io/osm/tools/images/imageset"
)

const page = "# Demo\n\nText with `$ code`.\n\n```bash\nexport A=1\nkubectl apply -f x.yaml\n```\n\n" +
	"```yaml\nkind: Pod\n```\n\n" +
	"```console\n$ one\nfirst\n…\nlast …\n$ two \\\n    more\n$ kubectl apply -f - <<EOF\na: 1\n\nEOF\ncommand terminated with exit code 7\n```\n" +
	"## Clean up\n```bash\nrm\n```\n"

func TestRead(t *testing.T) {
	steps, err := Read(page)
	require.NoError(t, err)
	require.Equal(t, []Step{
		{Line: 6, Command: "export A=1"},
		{Line: 7, Command: "kubectl apply -f x.yaml"},
		{Line: 15, Command: "one", Output: []string{"first", "…", "last …"}},
		{Line: 19, Command: "two \\\n    more"},
		{Line: 21, Command: "kubectl apply -f - <<EOF\na: 1\n\nEOF", Output: []string{"command terminated with exit code 7"}},
		{Line: 29, Command: "rm", Cleanup: true},
	}, steps)
	require.False(t, steps[2].Exit())
	require.True(t, steps[4].Exit())
}

func TestReadRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"```bash\nx\n":                    "line 1: the block is not closed",
		"```console\nx\n```\n":            `line 2: a console block begins with a command, after "$ "`,
		"```console\n$ cat <<E\nx\n```":   "line 2: the command does not end in its block",
		"\n```console\n$ a \\\n```\ntext": "line 3: the command does not end in its block",
	} {
		_, err := Read(text)
		require.EqualError(t, err, want, text)
	}
}

func TestCheck(t *testing.T) {
	printed := "HTTP/1.1 200 OK\nserver:   envoy\ndate: today\nCode 200 : 10 (50.0 %)\n"
	for _, want := range [][]string{
		nil, {"HTTP/1.1 200 OK"}, {"HTTP/1.1 200 OK", "…", "Code 200 : 10 …"}, {"server: envoy"}, {"… : 10 (…)"},
	} {
		require.NoError(t, Step{Output: want}.Check(printed), want)
	}
	for _, want := range [][]string{{"HTTP/1.1 200"}, {"server: envoy", "HTTP/1.1 200 OK"}, {"Code 503 …"}, {"date: today", "date: today"}} {
		require.Error(t, Step{Output: want}.Check(printed), want)
	}
}

// Every page has commands, and ends with those that clean up.
func TestPages(t *testing.T) {
	pages, err := filepath.Glob("../../docs/guides/demos/*.md")
	require.NoError(t, err)
	require.NotEmpty(t, pages)
	for _, file := range pages {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		steps, err := Read(string(text))
		require.NoError(t, err, file)
		require.NotEmpty(t, steps, file)
		require.True(t, steps[len(steps)-1].Cleanup, "%s: the last commands stand below a heading that begins with Clean up", file)
	}
}

var image = regexp.MustCompile(`image: *"?([^\s"]+)`)

// The samples use images that the local cluster can be given.
func TestSampleImages(t *testing.T) {
	known := map[string]bool{}
	for _, s := range append(imageset.All(), imageset.Peers()...) {
		known[s.Reference("openservicemesh", version.Version)] = true
	}
	files, err := filepath.Glob("../../docs/example/manifests/samples/*/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		used := image.FindAllStringSubmatch(string(text), -1)
		require.NotEmpty(t, used, file)
		for _, m := range used {
			require.True(t, known[m[1]], "%s: %s is no image of tools/images", file, m[1])
		}
	}
}
