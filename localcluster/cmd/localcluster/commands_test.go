package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"openservicemesh.io/osm/localcluster/internal/cluster"
)

func run(args ...string) (string, error) {
	var out bytes.Buffer
	cmd := newCommand(&out, &out)
	cmd.SetArgs(args)
	err := cmd.Execute()
	return out.String(), err
}

func TestKubeconfig(t *testing.T) {
	base := t.TempDir()
	if _, err := run("kubeconfig", "--state-dir", base); err == nil || !strings.Contains(err.Error(), "localcluster up --name osm") {
		t.Errorf("without a cluster: %v", err)
	}
	l, err := cluster.NewLayout("two", base)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(l.Dir(), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(l.Kubeconfig(), []byte("kind: Config\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := run("kubeconfig", "--name", "two", "--state-dir", base); err != nil || out != "kind: Config\n" {
		t.Errorf("got %q, %v", out, err)
	}
	if out, err := run("kubeconfig", "--name", "two", "--state-dir", base, "--path"); err != nil || out != l.Kubeconfig()+"\n" {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestNameAndArgumentsAreChecked(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"up", "--name", "../x"}, "--name"},
		{[]string{"down", "--name", "X"}, "--name"},
		{[]string{"load"}, "at least 1 arg"},
		{[]string{"exec"}, "at least 1 arg"},
		{[]string{"logs"}, "accepts 1 arg"},
		{[]string{"up", "extra"}, "extra"},
		{[]string{"nothing"}, "nothing"},
	} {
		if _, err := run(c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v", c.args, err)
		}
	}
}

func TestStateDirByEnvironment(t *testing.T) {
	base := filepath.Join(t.TempDir(), "elsewhere")
	t.Setenv(stateEnv, base)
	if _, err := run("kubeconfig"); err == nil || !strings.Contains(err.Error(), base) {
		t.Errorf("%v does not name %s", err, base)
	}
}

func TestSuperviseIsHidden(t *testing.T) {
	out, err := run("--help")
	if err != nil || strings.Contains(out, "supervise") || !strings.Contains(out, "kubeconfig") {
		t.Errorf("help: %v\n%s", err, out)
	}
}
