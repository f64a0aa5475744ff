package pipeline

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTheTableOfSecurityTestsIsTrue: every test that docs/design/security.md names exists in the folder it says.
func TestTheTableOfSecurityTestsIsTrue(t *testing.T) {
	text, err := os.ReadFile("../../docs/design/security.md")
	require.NoError(t, err)
	entry := regexp.MustCompile("((?:`(?:Test|Fuzz)[A-Za-z0-9]+` )+)\\(([a-z/]+)\\)")
	found := 0
	for _, m := range entry.FindAllStringSubmatch(string(text), -1) {
		var sources strings.Builder
		files, err := filepath.Glob(filepath.Join("../..", m[2], "*_test.go"))
		require.NoError(t, err)
		for _, f := range files {
			source, err := os.ReadFile(f)
			require.NoError(t, err)
			sources.Write(source)
		}
		for _, name := range strings.Fields(strings.ReplaceAll(m[1], "`", "")) {
			found++
			require.True(t, strings.Contains(sources.String(), "func "+name+"("), "%s is named in docs/design/security.md and is not in %s", name, m[2])
		}
	}
	require.Equal(t, strings.Count(string(text), "`Test")+strings.Count(string(text), "`Fuzz")-1, found, "a test is named without its folder")
}
