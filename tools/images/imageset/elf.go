package imageset

import (
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// libraryDirs are where the dynamic loader of an x86-64 Linux looks without
// being told to.
var libraryDirs = []string{"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"}

// sharedLibraries are the absolute paths, sorted, of the loader of the ELF
// file at path and of every library it or its libraries name, looked for in
// dirs. A static program has none.
func sharedLibraries(path string, dirs []string) ([]string, error) {
	loader, needed, err := dependencies(path)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	if loader != "" {
		found[filepath.Base(loader)] = loader
	}
	for len(needed) > 0 {
		name := needed[0]
		needed = needed[1:]
		if _, done := found[name]; done {
			continue
		}
		file, err := findLibrary(name, dirs)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		found[name] = file
		_, more, err := dependencies(file)
		if err != nil {
			return nil, err
		}
		needed = append(needed, more...)
	}
	var all []string
	for _, file := range found {
		all = append(all, file)
	}
	slices.Sort(all)
	return all, nil
}

func findLibrary(name string, dirs []string) (string, error) {
	for _, dir := range dirs {
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
			return file, nil
		}
	}
	return "", fmt.Errorf("shared library %s is in none of %s: install the package that holds it", name, strings.Join(dirs, ", "))
}

// dependencies are the loader an ELF file asks for, if any, and the libraries
// it names.
func dependencies(path string) (loader string, needed []string, err error) {
	f, err := elf.Open(path)
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", path, err)
	}
	defer func() { _ = f.Close() }()
	if needed, err = f.ImportedLibraries(); err != nil {
		return "", nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		data := make([]byte, p.Filesz)
		if _, err := p.ReadAt(data, 0); err != nil {
			return "", nil, fmt.Errorf("%s: %w", path, err)
		}
		loader = strings.TrimRight(string(data), "\x00")
	}
	return loader, needed, nil
}
