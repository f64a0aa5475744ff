package guides

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTheTableOfCoverageIsTrue: every test that docs/design/coverage.md names exists in the folder it says, every page that
// it names exists, and every page of demonstrations is named.
func TestTheTableOfCoverageIsTrue(t *testing.T) {
	read, err := os.ReadFile("../../docs/design/coverage.md")
	require.NoError(t, err)
	text, named := string(read), 0
	for _, m := range regexp.MustCompile("((?:`Test[A-Za-z0-9]+` )+)\\(([a-z0-9/]+)\\)").FindAllStringSubmatch(text, -1) {
		sources := testsOf(t, m[2])
		for name := range strings.FieldsSeq(strings.ReplaceAll(m[1], "`", "")) {
			named++
			require.Contains(t, sources, "func "+name+"(", "%s is not in %s", name, m[2])
		}
	}
	require.Equal(t, strings.Count(text, "`Test")-1, named, "a test is named without its folder")

	for _, page := range regexp.MustCompile(`docs/guides/demos/[\w-]+\.md`).FindAllString(text, -1) {
		require.FileExists(t, filepath.Join("../..", page))
	}
	pages, err := filepath.Glob("../../docs/guides/demos/*.md")
	require.NoError(t, err)
	require.NotEmpty(t, pages)
	for _, page := range pages {
		require.Contains(t, text, "docs/guides/demos/"+filepath.Base(page), "a demonstration that the table does not name")
	}
}

// testsOf is the source of the tests in one folder of the project.
func testsOf(t *testing.T, folder string) string {
	files, err := filepath.Glob(filepath.Join("../..", folder, "*_test.go"))
	require.NoError(t, err)
	require.NotEmpty(t, files, folder)
	var all strings.Builder
	for _, f := range files {
		source, err := os.ReadFile(f)
		require.NoError(t, err)
		all.Write(source)
	}
	return all.String()
}
