package build

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// building is the prefix of folders that a build works in.
const building = ".building-"

// keep is how many finished builds stay beside a new one, newest first: enough
// to go back and forth between two versions.
const keep = 2

// lock makes the cache folder and keeps two builds from doing the same work.
func lock(cache string) (unlock func(), err error) {
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, fmt.Errorf("make the cache folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(cache, ".lock"), os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the cache: %w", err)
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, fmt.Errorf("lock the cache: %w", err)
		}
	}
}

// prune removes what killed builds left, and all but the n newest results.
// Running clusters have links of their own. The lock must be held.
func prune(cache string, n int) {
	entries, err := os.ReadDir(cache)
	if err != nil {
		return
	}
	var done []os.FileInfo
	for _, e := range entries {
		info, err := e.Info()
		switch {
		case err != nil || !e.IsDir():
		case strings.HasPrefix(e.Name(), building):
			_ = os.RemoveAll(filepath.Join(cache, e.Name()))
		case isHash(e.Name()):
			done = append(done, info)
		}
	}
	slices.SortFunc(done, func(a, b os.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	for _, d := range done[min(n, len(done)):] {
		_ = os.RemoveAll(filepath.Join(cache, d.Name()))
	}
}

// isHash guards other people's folders, should the cache be set to one.
func isHash(name string) bool {
	return len(name) == 32 && strings.Trim(name, "0123456789abcdef") == ""
}
