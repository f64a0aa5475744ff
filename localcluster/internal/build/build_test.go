package build

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// fakeSource is a module with programs that are quick to build.
func fakeSource(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), moduleLine+"\n\ngo 1.24\n")
	write(t, filepath.Join(dir, "go.sum"), "")
	for _, p := range programs {
		write(t, filepath.Join(dir, "cmd", p, "main.go"), "package main\n\nfunc main() {}\n")
	}
	return dir
}

func TestHashCoversWhatIsBuilt(t *testing.T) {
	dir := fakeSource(t)
	hash := func(version string) string {
		h, err := Hash(dir, version)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	first := hash("go1.26")
	if hash("go1.26") != first {
		t.Error("the same content has two hashes")
	}
	if hash("go1.27") == first {
		t.Error("the toolchain does not count")
	}
	write(t, filepath.Join(dir, "cmd", "localkube", "main_test.go"), "package main\n")
	write(t, filepath.Join(dir, "README.md"), "x")
	if hash("go1.26") != first {
		t.Error("a file that is not built counts")
	}
	for _, f := range []string{"go.mod", "go.sum", "cmd/localkube/main.go", "cmd/pause/extra.go"} {
		before := hash("go1.26")
		write(t, filepath.Join(dir, f), "package main // changed\n")
		if hash("go1.26") == before {
			t.Errorf("%s does not count", f)
		}
	}
}

func TestRunBuildsOnce(t *testing.T) {
	dir, cache := fakeSource(t), filepath.Join(t.TempDir(), "cache")
	write(t, filepath.Join(cache, building+"left", "localkube"), "of a killed build")
	var said []string
	say := func(format string, _ ...any) { said = append(said, format) }
	out, err := Run(context.Background(), dir, cache, say)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range programs {
		if info, err := os.Stat(out.Program(p)); err != nil || info.Mode()&0o111 == 0 {
			t.Errorf("%s: %v %v", p, info, err)
		}
	}
	if len(said) == 0 {
		t.Error("a build says nothing")
	}
	if left, _ := filepath.Glob(filepath.Join(cache, building+"*")); len(left) > 0 {
		t.Errorf("left %v", left)
	}
	said = nil
	again, err := Run(context.Background(), dir, cache, say)
	if err != nil || again != out || len(said) > 0 {
		t.Errorf("second run: %v, %v, said %v", again, err, said)
	}
}

func TestRunShowsTheCompilersError(t *testing.T) {
	dir := fakeSource(t)
	write(t, filepath.Join(dir, "cmd", "pause", "main.go"), "package main\n\nfunc main() { undefinedName() }\n")
	cache := t.TempDir()
	_, err := Run(context.Background(), dir, cache, func(string, ...any) {})
	if err == nil || !strings.Contains(err.Error(), "undefinedName") {
		t.Errorf("got %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(cache, building+"*")); len(left) > 0 {
		t.Errorf("left %v", left)
	}
	if entries, _ := filepath.Glob(filepath.Join(cache, "[0-9a-f]*")); len(entries) != 0 {
		t.Errorf("a failed build is in the cache: %v", entries)
	}
}

func TestPruneKeepsTheNewestAndForeignFolders(t *testing.T) {
	cache := t.TempDir()
	name := func(c string) string { return strings.Repeat(c, 32) }
	for i, c := range []string{"a", "b", "c", "d"} {
		dir := filepath.Join(cache, name(c))
		write(t, filepath.Join(dir, "localkube"), "")
		old := time.Now().Add(-time.Duration(i) * time.Hour)
		if err := os.Chtimes(dir, old, old); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(cache, "documents", "f"), "")
	prune(cache, 2)
	for file, want := range map[string]bool{name("a"): true, name("b"): true, name("c"): false, name("d"): false, "documents": true} {
		if _, err := os.Stat(filepath.Join(cache, file)); (err == nil) != want {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestSource(t *testing.T) {
	dir, other := fakeSource(t), t.TempDir()
	write(t, filepath.Join(other, "go.mod"), "module example.org/other\n")
	t.Setenv(SourceEnv, "")
	if got, err := Source(dir); err != nil || got != dir {
		t.Errorf("by flag: %q, %v", got, err)
	}
	if got, err := Source(other); err == nil || !strings.Contains(err.Error(), "--source") {
		t.Errorf("another module is taken: %q, %v", got, err)
	}
	t.Setenv(SourceEnv, dir)
	if got, err := Source(""); err != nil || got != dir {
		t.Errorf("by environment: %q, %v", got, err)
	}
	t.Setenv(SourceEnv, "")
	t.Chdir(dir)
	if got, err := Source(""); err != nil || got != dir {
		t.Errorf("by working directory: %q, %v", got, err)
	}
}

// TestKubernetesVersion keeps the constant and go.mod together.
func TestKubernetesVersion(t *testing.T) {
	b, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if want := "k8s.io/kubernetes " + KubernetesVersion + "\n"; !strings.Contains(string(b), want) {
		t.Errorf("go.mod lacks %q", want)
	}
	args := strings.Join(buildArgs("./cmd/localkube", "out"), " ")
	if want := "k8s.io/component-base/version.gitVersion=" + KubernetesVersion; !strings.Contains(args, want) {
		t.Errorf("%s lacks %s", args, want)
	}
}
