package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"openservicemesh.io/osm/localcluster/internal/process"
)

// Record is what a running (or crashed) cluster left on disk.
type Record struct {
	Name string `json:"name"`
	// Supervisor is process 1 of the cluster's process namespace. With it ends
	// every process, mount and network namespace of the cluster.
	Supervisor process.ID `json:"supervisor"`
	// NetNS is the inode of the cluster's network namespace.
	NetNS uint64 `json:"netNamespace"`
	// PIDNS is the inode of the cluster's process namespace.
	PIDNS uint64 `json:"pidNamespace"`
	// APIPort is the port of the API server on 127.0.0.1, on the machine and inside.
	APIPort int `json:"apiPort"`
	// Build is the content hash of the binaries that run.
	Build   string    `json:"build"`
	Started time.Time `json:"started"`
}

// LoadRecord reads the record. Without one it returns an error that wraps
// fs.ErrNotExist.
func (l Layout) LoadRecord() (Record, error) {
	var r Record
	b, err := os.ReadFile(l.RecordPath())
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("record %s is damaged (%w); remove the cluster with `localcluster down --name %s`", l.RecordPath(), err, l.Name)
	}
	return r, nil
}

// SaveRecord writes the record in one step, so that a crash leaves either the
// old or the new one.
func (l Layout) SaveRecord(r Record) error { return WriteJSON(l.RecordPath(), r) }

// SupervisorArgs are the arguments after the program name of the cluster's
// supervisor. They hold name and folder, so that the process is recognised even
// when its record is lost.
func (l Layout) SupervisorArgs() []string {
	return []string{"supervise", "--name", l.Name, "--state-dir", l.Base}
}

// FindSupervisor returns the identity of this cluster's running supervisor: by
// record, or by its exact command line when the record is lost or damaged.
func (l Layout) FindSupervisor() (process.ID, bool) {
	if r, err := l.LoadRecord(); err == nil && r.Supervisor.Alive() {
		return r.Supervisor, true
	}
	for _, pid := range process.WithArgs(l.SupervisorArgs()...) {
		if id, err := process.Of(pid); err == nil {
			return id, true
		}
	}
	return process.ID{}, false
}

// WriteJSON writes v to path in one step.
func WriteJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	return WriteFile(path, append(b, '\n'), 0o600)
}

// WriteFile replaces a file in one step.
func WriteFile(path string, data []byte, mode os.FileMode) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, werr := tmp.Write(data)
	if err := errors.Join(werr, tmp.Chmod(mode), tmp.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(tmp.Name(), path)
}

// Lock keeps commands that change the same cluster apart. When another one holds
// the lock, waiting is called once and Lock waits. The kernel gives the lock
// back when its holder ends in whatever way.
func (l Layout) Lock(waiting func()) (unlock func(), err error) {
	if err := os.MkdirAll(l.Base, 0o755); err != nil {
		return nil, fmt.Errorf("make the state folder: %w", err)
	}
	for {
		f, err := os.OpenFile(l.LockPath(), os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
		if errors.Is(err, fs.ErrNotExist) { // `down` of the last cluster took the folder away in between
			if err = os.MkdirAll(l.Base, 0o755); err == nil {
				continue
			}
		}
		if err != nil {
			return nil, fmt.Errorf("lock cluster %q: %w", l.Name, err)
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			if waiting != nil {
				waiting()
				waiting = nil
			}
			if err := flockWait(f); err != nil {
				f.Close()
				return nil, fmt.Errorf("lock cluster %q: %w", l.Name, err)
			}
		}
		if sameFile(f, l.LockPath()) {
			return func() { f.Close() }, nil
		}
		f.Close() // `down` removed the file while we waited; take the new one
	}
}

func flockWait(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func sameFile(f *os.File, path string) bool {
	a, err1 := f.Stat()
	b, err2 := os.Stat(path)
	return err1 == nil && err2 == nil && os.SameFile(a, b)
}
