package lifecycle

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"openservicemesh.io/osm/localcluster/internal/cluster"
	"openservicemesh.io/osm/localcluster/internal/component"
)

func layout(t *testing.T) cluster.Layout {
	t.Helper()
	dir, err := os.MkdirTemp("", "lc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := cluster.NewLayout("t", dir)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestListen(t *testing.T) {
	busy, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	port := busy.Addr().(*net.TCPAddr).Port
	if _, _, err := listen(port, 0); err == nil || !strings.Contains(err.Error(), strconv.Itoa(port)) || !strings.Contains(err.Error(), "--api-port") {
		t.Errorf("a busy port that was asked for: %v", err)
	}
	l, got, err := listen(0, port)
	if err != nil || got == port || got < firstPort || got > lastPort {
		t.Fatalf("with the last port busy: %d, %v", got, err)
	}
	l.Close()
	l2, again, err := listen(0, got)
	if err != nil || again != got {
		t.Fatalf("the last port is free, but got %d, %v", again, err)
	}
	l2.Close()
}

func TestStageReplacesAProgramInUse(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	for _, content := range []string{"one", "two"} {
		_ = os.Remove(from)
		if err := os.WriteFile(from, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time it is the same file
			if err := stage(from, to); err != nil {
				t.Fatal(err)
			}
			if b, _ := os.ReadFile(to); string(b) != content {
				t.Errorf("got %q, want %q", b, content)
			}
		}
	}
	if err := stage(filepath.Join(dir, "none"), to); err == nil {
		t.Error("staged a program that is not there")
	}
}

func TestCopyFileMakesAProgram(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := copyFile(filepath.Join(dir, "a"), filepath.Join(dir, "b")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "b")); err != nil || info.Mode()&0o100 == 0 || info.Size() != 1 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestLogs(t *testing.T) {
	l := layout(t)
	if err := l.MakeDirs(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(l.Log(component.Etcd), []byte("a\nb\nc\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for lines, want := range map[int]string{-1: "a\nb\nc\n", 0: "", 1: "c\n", 2: "b\nc\n", 9: "a\nb\nc\n"} {
		var b bytes.Buffer
		if err := Logs(context.Background(), l, component.Etcd, lines, false, &b); err != nil || b.String() != want {
			t.Errorf("%d lines: %q, %v", lines, b.String(), err)
		}
	}
	if err := Logs(context.Background(), l, "kube-nothing", -1, false, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), component.Kubelet) {
		t.Errorf("an unknown component: %v", err)
	}
	if err := Logs(context.Background(), l, component.Kubelet, -1, false, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "localcluster status") {
		t.Errorf("no log yet: %v", err)
	}
	old := l.Path("varlog", "pods", "kube-system_coredns-1_u", coreDNS, "0.log")
	if err := os.MkdirAll(filepath.Dir(old), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(old, []byte("dns\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := Logs(context.Background(), l, coreDNS, -1, false, &b); err != nil || b.String() != "dns\n" {
		t.Errorf("CoreDNS: %q, %v", b.String(), err)
	}
}

func TestRotateLogsKeepsTheLastStart(t *testing.T) {
	l := layout(t)
	if err := l.MakeDirs(); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"first", "second"} {
		if err := os.WriteFile(l.Log(component.Etcd), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := rotateLogs(l); err != nil {
			t.Fatal(err)
		}
		if b, _ := os.ReadFile(l.Log(component.Etcd) + ".1"); string(b) != text {
			t.Errorf("kept %q, want %q", b, text)
		}
	}
}

func TestCommandsWithoutACluster(t *testing.T) {
	l := layout(t)
	say := func(string, ...any) {}
	for name, run := range map[string]func() error{
		"status": func() error { return Status(context.Background(), l, say) },
		"load":   func() error { return Load(context.Background(), l, []string{"x.tar"}, say) },
		"exec":   func() error { return Exec(l, []string{"true"}) },
	} {
		// For root the cure is `up`, for others it is to become root.
		want := "localcluster up --name t"
		if os.Geteuid() != 0 {
			want = "sudo"
		}
		if err := run(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHopeless(t *testing.T) {
	l := layout(t)
	if err := l.MakeDirs(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		status string
		want   string
	}{
		"all well":         {`{"components":[{"name":"etcd","running":true}]}`, ""},
		"restarted, is up": {`{"components":[{"name":"etcd","running":true,"restarts":9}]}`, ""},
		"down for once":    {`{"components":[{"name":"etcd","running":false,"restarts":1}]}`, ""},
		"again and again":  {`{"components":[{"name":"etcd","running":true},{"name":"kubelet","running":false,"restarts":5}]}`, "kubelet"},
	} {
		if err := os.WriteFile(l.StatusPath(), []byte(c.status), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := hopeless(l); got != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	var b strings.Builder
	for i := range 9 {
		fmt.Fprintf(&b, "line %d\n", i)
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := tail(path, 2); got != "  line 7\n  line 8" {
		t.Errorf("got %q", got)
	}
	if got := tail(path+"none", 2); !strings.Contains(got, "no log") {
		t.Errorf("got %q", got)
	}
}
