package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"openservicemesh.io/osm/localcluster/internal/cluster"
	"openservicemesh.io/osm/localcluster/internal/component"
)

// coreDNS is a pod, whose log lies elsewhere than the components'.
const coreDNS = "coredns"

// LogNames are the names that Logs takes.
func LogNames() []string { return append(component.Names(), coreDNS) }

// Logs writes the last lines of a component's log to w; a negative number of
// lines means all. With follow it goes on until ctx ends.
func Logs(ctx context.Context, l cluster.Layout, name string, lines int, follow bool, w io.Writer) error {
	path, err := logPath(l, name)
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("cluster %q has no log of %s: %w; is it up? see `localcluster status --name %s`", l.Name, name, err, l.Name)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	if _, err := w.Write(lastLines(b, lines)); err != nil || !follow {
		return err
	}
	for {
		if _, err := io.Copy(w, f); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func logPath(l cluster.Layout, name string) (string, error) {
	if !slices.Contains(LogNames(), name) {
		return "", fmt.Errorf("there is no component %q; components: %s", name, strings.Join(LogNames(), ", "))
	}
	if name != coreDNS {
		return l.Log(name), nil
	}
	files, err := filepath.Glob(l.Path("varlog", "pods", "kube-system_coredns-*", coreDNS, "*.log"))
	if err != nil || len(files) == 0 {
		return "", errors.Join(fmt.Errorf("CoreDNS has not logged anything in cluster %q", l.Name), err)
	}
	slices.SortFunc(files, func(a, b string) int { return modTime(a).Compare(modTime(b)) })
	return files[len(files)-1], nil
}

func modTime(path string) time.Time {
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

func lastLines(b []byte, n int) []byte {
	if n < 0 {
		return b
	}
	if n == 0 {
		return nil
	}
	for i := len(b) - 2; i >= 0; i-- {
		if b[i] == '\n' {
			if n--; n == 0 {
				return b[i+1:]
			}
		}
	}
	return b
}
