package preflight

import (
	"os"
	"path/filepath"
	"testing"
)

func TestCheckRelease(t *testing.T) {
	for release, ok := range map[string]bool{
		"6.1.0-18-amd64": true, "5.13.0": true, "5.12.19": false, "4.19.0-26": false, "10.0": true, "nonsense": false,
	} {
		if err := checkRelease(release); (err == nil) != ok {
			t.Errorf("%s: %v", release, err)
		}
	}
}

func TestFindCNINeedsAllPlugins(t *testing.T) {
	half, full := t.TempDir(), t.TempDir()
	for _, p := range cniPlugins {
		if err := os.WriteFile(filepath.Join(full, p), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(half, cniPlugins[0]), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := findCNI([]string{"/nowhere", half, full}); got != full {
		t.Errorf("got %q", got)
	}
	if got := findCNI([]string{half}); got != "" {
		t.Errorf("got %q with plugins missing", got)
	}
}

func TestLookPathTakesProgramsOnly(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	file := filepath.Join(dir, "localcluster-test-program")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := lookPath(filepath.Base(file)); got != "" {
		t.Errorf("found %q, which cannot be run", got)
	}
	if err := os.Chmod(file, 0o755); err != nil {
		t.Fatal(err)
	}
	if got := lookPath(filepath.Base(file)); got != file {
		t.Errorf("found %q", got)
	}
}

func TestLastLines(t *testing.T) {
	if got := lastLines("a\nb\nc\n", 2); got != "b\nc" {
		t.Errorf("got %q", got)
	}
	if got := lastLines("a", 5); got != "a" {
		t.Errorf("got %q", got)
	}
}
