package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const crdDir = "api/crds"

func main() {
	root := flag.String("root", ".", "root folder of the repository")
	check := flag.Bool("check", false, "write nothing; fail when a file would change")
	flag.Parse()
	if err := run(*root, *check); err != nil {
		fmt.Fprintln(os.Stderr, "crdgen:", err)
		os.Exit(1)
	}
}

// run generates all files and writes, or with check compares, those below root.
func run(root string, check bool) error {
	files, err := Generate(root)
	if err != nil {
		return err
	}
	changed, err := diff(root, files)
	if err != nil {
		return err
	}
	if check {
		if len(changed) > 0 {
			return fmt.Errorf("out of date: %s; run tools/generate-api.sh", strings.Join(changed, ", "))
		}
		return nil
	}
	return write(root, changed, files)
}

// diff returns the paths, relative to root and sorted, whose content is not
// what was generated, and the CRD files that are not generated any more.
func diff(root string, files map[string][]byte) ([]string, error) {
	var changed []string
	for path, want := range files {
		got, err := os.ReadFile(filepath.Join(root, path))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err != nil || !bytes.Equal(got, want) {
			changed = append(changed, path)
		}
	}
	old, err := filepath.Glob(filepath.Join(root, crdDir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	for _, path := range old {
		rel := filepath.ToSlash(filepath.Join(crdDir, filepath.Base(path)))
		if _, ok := files[rel]; !ok {
			changed = append(changed, rel)
		}
	}
	slices.Sort(changed)
	return changed, nil
}

// write brings the changed paths below root up to date: those in files are
// written, the others removed.
func write(root string, changed []string, files map[string][]byte) error {
	for _, path := range changed {
		full := filepath.Join(root, path)
		content, ok := files[path]
		if !ok {
			if err := os.Remove(full); err != nil {
				return err
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(full, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
