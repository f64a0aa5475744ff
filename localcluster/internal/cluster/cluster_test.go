package cluster

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"openservicemesh.io/osm/localcluster/internal/process"
)

func layout(t *testing.T, name string) Layout {
	t.Helper()
	dir, err := os.MkdirTemp("", "lc") // t.TempDir is too long for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := NewLayout(name, dir)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestNewLayout(t *testing.T) {
	for name, c := range map[string]struct{ name, base, wantError string }{
		"plain":           {name: "osm", base: "/var/lib/x"},
		"one letter":      {name: "a", base: "/var/lib/x"},
		"32 characters":   {name: strings.Repeat("a", 32), base: "/x"},
		"33 characters":   {name: strings.Repeat("a", 33), base: "/x", wantError: "--name"},
		"empty":           {name: "", base: "/x", wantError: "--name"},
		"out of the base": {name: "..", base: "/x", wantError: "--name"},
		"slash":           {name: "a/b", base: "/x", wantError: "--name"},
		"upper case":      {name: "Osm", base: "/x", wantError: "--name"},
		"dash at the end": {name: "a-", base: "/x", wantError: "--name"},
		"long folder":     {name: "osm", base: "/" + strings.Repeat("d", 90), wantError: "--state-dir"},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := NewLayout(c.name, c.base)
			if c.wantError == "" {
				if err != nil || l.Dir() != filepath.Join(c.base, c.name) {
					t.Errorf("got %v, %v", l, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.wantError) {
				t.Errorf("error %v does not name %q", err, c.wantError)
			}
		})
	}
}

func TestOneFolderHasOneName(t *testing.T) {
	real := layout(t, "x").Base
	link := real + "-link"
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(link)
	for _, sub := range []string{"", "new", "new/er"} {
		l, err := NewLayout("x", filepath.Join(link, sub))
		if err != nil || l.Base != filepath.Join(real, sub) {
			t.Errorf("%q: %s, %v", sub, l.Base, err)
		}
	}
}

func TestCgroupNamesDiffer(t *testing.T) {
	names := map[string]string{}
	for _, l := range []Layout{{"osm", "/a"}, {"osm", "/b"}, {"two", "/a"}} {
		n := l.CgroupName()
		if other, ok := names[n]; ok {
			t.Errorf("%v and %s share %s", l, other, n)
		}
		names[n] = l.Dir()
	}
}

func TestRecordRoundTrip(t *testing.T) {
	l := layout(t, "r")
	if _, err := l.LoadRecord(); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("without a record: %v", err)
	}
	if err := l.MakeDirs(); err != nil {
		t.Fatal(err)
	}
	want := Record{Name: "r", Supervisor: process.ID{PID: 7, StartTicks: 8, BootID: "b"}, NetNS: 1, PIDNS: 2,
		APIPort: 6443, Build: "h", Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	if err := l.SaveRecord(want); err != nil {
		t.Fatal(err)
	}
	got, err := l.LoadRecord()
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := os.WriteFile(l.RecordPath(), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := l.LoadRecord(); err == nil || !strings.Contains(err.Error(), "localcluster down --name r") {
		t.Errorf("a damaged record: %v", err)
	}
}

func TestFindSupervisorIgnoresAnOldRecord(t *testing.T) {
	l := layout(t, "old")
	if err := l.MakeDirs(); err != nil {
		t.Fatal(err)
	}
	self, err := process.Of(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.SaveRecord(Record{Supervisor: self}); err != nil {
		t.Fatal(err)
	}
	if id, ok := l.FindSupervisor(); !ok || id != self {
		t.Errorf("a living supervisor is not found: %v %v", id, ok)
	}
	self.StartTicks++ // the id was given to another process
	if err := l.SaveRecord(Record{Supervisor: self}); err != nil {
		t.Fatal(err)
	}
	if id, ok := l.FindSupervisor(); ok {
		t.Errorf("found %v by a reused process id", id)
	}
}

func TestLockKeepsOthersOut(t *testing.T) {
	l := layout(t, "l")
	unlock, err := l.Lock(func() { t.Error("waits for a free lock") })
	if err != nil {
		t.Fatal(err)
	}
	waiting, got := make(chan struct{}), make(chan error, 1)
	go func() {
		unlock2, err := l.Lock(func() { close(waiting) })
		if err == nil {
			defer unlock2()
			if _, serr := os.Stat(l.LockPath()); serr != nil {
				err = errors.New("holds a lock that nobody else sees")
			}
		}
		got <- err
	}()
	<-waiting
	select {
	case <-got:
		t.Fatal("two hold the lock")
	case <-time.After(50 * time.Millisecond):
	}
	// As `down` does: the file goes while the lock is held.
	if err := os.Remove(l.LockPath()); err != nil {
		t.Fatal(err)
	}
	unlock()
	if err := <-got; err != nil {
		t.Fatal(err)
	}
}

func TestMountsUnder(t *testing.T) {
	const table = `22 27 0:21 / /proc rw - proc proc rw
40 27 0:5 / /state/a rw shared:1 - tmpfs tmpfs rw
41 40 0:6 / /state/a/deep/er rw - tmpfs tmpfs rw
42 40 0:7 / /state/a/with\040space rw - tmpfs tmpfs rw
43 27 0:8 / /state/ab rw - tmpfs tmpfs rw
broken line
`
	got := mountsUnder(table, "/state/a")
	want := []string{"/state/a/deep/er", "/state/a/with space", "/state/a"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
