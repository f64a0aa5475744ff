// Command bench runs the benches and puts their figures beside their bars.
//
//	go run ./bench [-what dataplane,…] [-docs docs/performance.md]
//
// Input: flags. Every bench is a program of its own (see its -help) that writes a report.Table. Output: the tables on
// standard output; -docs replaces the parts of a page between "<!-- begin NAME -->" and "<!-- end NAME -->".
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"

	"openservicemesh.io/osm/bench/internal/report"
)

// benches are the programs under bench/ with the arguments of a whole run, in the order they are run.
var benches = []struct {
	name string
	args []string
}{
	{"dataplane", []string{"-rounds", "5", "-duration", "3s"}},
	{"controlplane", nil},
	{"xds", nil},
	{"sidecar", nil},
	{"injection", nil},
	{"life", nil},
}

func main() {
	what := flag.String("what", "", "names, with commas between; empty runs all")
	docs := flag.String("docs", "", "page to put the tables into")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *what, *docs)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, what, docs string) error {
	wanted, err := choose(what)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	for _, b := range benches {
		if slices.Contains(wanted, b.name) {
			err = errors.Join(err, one(ctx, dir, docs, b.name, b.args))
		}
	}
	return errors.Join(err, os.RemoveAll(dir))
}

// one runs one bench and shows what it found.
func one(ctx context.Context, dir, docs, name string, args []string) error {
	file := filepath.Join(dir, name+".json")
	cmd := exec.CommandContext(ctx, "go", slices.Concat([]string{"run", "./bench/" + name}, args, []string{"-json", file})...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("bench %s: %w", name, err)
	}
	table, err := report.Read(file)
	if err != nil {
		return err
	}
	table.Command = "make bench WHAT=" + name
	if err := table.Text(os.Stdout); err != nil {
		return err
	}
	return insert(docs, name, table)
}

func choose(what string) ([]string, error) {
	var known []string
	for _, b := range benches {
		known = append(known, b.name)
	}
	if what == "" {
		return known, nil
	}
	names := strings.Split(what, ",")
	for _, n := range names {
		if !slices.Contains(known, n) {
			return nil, fmt.Errorf("-what %q: there is no such bench; there are %s", n, strings.Join(known, ", "))
		}
	}
	return names, nil
}

// insert replaces one table of a page.
func insert(page, name string, table *report.Table) error {
	if page == "" {
		return nil
	}
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	replaced, err := replace(text, name, table)
	if err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	return os.WriteFile(page, replaced, 0o644)
}

func replace(text []byte, name string, table *report.Table) ([]byte, error) {
	begin, end := []byte("<!-- begin "+name+" -->\n"), []byte("<!-- end "+name+" -->\n")
	before, rest, found := bytes.Cut(text, begin)
	_, after, closed := bytes.Cut(rest, end)
	if !found || !closed {
		return nil, fmt.Errorf("no place for the table: %q and %q are wanted", begin, end)
	}
	var out bytes.Buffer
	out.Write(before)
	out.Write(begin)
	if err := table.Markdown(&out); err != nil {
		return nil, err
	}
	out.Write(end)
	out.Write(after)
	return out.Bytes(), nil
}
