package pipeline

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"openservicemesh.io/osm/internal/core/snapshot"
	"openservicemesh.io/osm/internal/render"
)

// header is the leading comment of in.yaml.
type header struct {
	// About is one sentence.
	About string `json:"about"`
	// Proxies are kept as <name>.ir.yaml and in the types of Show.
	Proxies []string `json:"proxies"`
	// Show are words of render.Kinds.
	Show []string `json:"show"`
}

type testCase struct {
	name, dir string
	header    header
	snap      *snapshot.Snapshot
	findings  []snapshot.Finding
	mesh      *render.Mesh
}

func caseNames(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("testdata")
	require.NoError(t, err)
	var out []string
	for _, e := range entries {
		if e.IsDir() && e.Name() != "rapid" { // where rapid keeps what failed
			out = append(out, e.Name())
		}
	}
	return out
}

// readCases keeps what was read: many tests look at every case, and none changes one.
var readCases = map[string]*testCase{}

// readCase reads a case once; callers must not change it. It is not for tests that run side by side.
func readCase(t *testing.T, name string) *testCase {
	t.Helper()
	if readCases[name] == nil {
		readCases[name] = readCaseAnew(t, name)
	}
	return readCases[name]
}

func readCaseAnew(t *testing.T, name string) *testCase {
	t.Helper()
	c := &testCase{name: name, dir: filepath.Join("testdata", name)}
	text, err := os.ReadFile(filepath.Join(c.dir, "in.yaml"))
	require.NoError(t, err)
	var head []string
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "#") {
			break
		}
		head = append(head, strings.TrimPrefix(strings.TrimPrefix(line, "#"), " "))
	}
	require.NoError(t, yaml.UnmarshalStrict([]byte(strings.Join(head, "")), &c.header), "%s: leading comment", c.dir)
	require.NotEmpty(t, c.header.About, "%s: the leading comment says nothing `about` the case", c.dir)
	c.snap, c.findings = load(t, c.dir, text)
	c.mesh = render.New(c.snap)
	c.findings = snapshot.SortFindings(append(c.findings, c.mesh.Findings()...))
	return c
}

// outputs are the golden files of a case, by file name.
func (c *testCase) outputs(t *testing.T) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	text, err := render.FindingsText(c.findings)
	require.NoError(t, err)
	out["findings.yaml"] = text
	for _, name := range c.header.Proxies {
		p, err := c.mesh.Find(name)
		require.NoError(t, err)
		base := strings.ReplaceAll(name, "/", "_")
		out[base+".ir.yaml"], err = render.IRText(c.mesh.Plan(p))
		require.NoError(t, err)
		set, err := c.mesh.Resources(p, []byte(render.PlaceholderRoots))
		require.NoError(t, err)
		for _, word := range c.header.Show {
			require.Contains(t, render.Kinds(), word)
			out[base+"."+word+".yaml"], err = render.EnvoyText(set, word)
			require.NoError(t, err)
		}
	}
	for name, text := range out {
		if len(bytes.TrimSpace(text)) == 0 {
			delete(out, name)
		}
	}
	return out
}
