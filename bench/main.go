// Command bench runs the benches and puts their figures beside their bars.
//
//	go run ./bench [-what dataplane,…] [-docs docs/performance.md] [-churn 3m]
//
// Input: flags. Every bench is a program of its own (see its -help) that writes a report.Table; growth and churn, which take long, are
// run only when they are named. Output: the tables on
// standard output; -docs replaces the parts of a page between "<!-- begin NAME -->" and "<!-- end NAME -->", and keeps what profiles of
// the controller say in a folder beside it.
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
	"time"

	"github.com/google/pprof/profile"

	"openservicemesh.io/osm/bench/internal/flame"
	"openservicemesh.io/osm/bench/internal/report"
)

// benches are what programs under bench/ measure, with the arguments of a whole run, in the order they are run. Those that are long are
// not a part of all.
var benches = []struct {
	name, program string
	args          []string
	long          bool
}{
	{"dataplane", "dataplane", nil, false},
	{"controlplane", "controlplane", nil, false},
	{"endpoints", "controlplane", []string{"-endpoints", "10000", "-rounds", "5", "-rest", "3s"}, false},
	{"xds", "xds", nil, false},
	{"sidecar", "sidecar", nil, false},
	{"injection", "injection", nil, false},
	{"life", "life", nil, false},
	{"growth", "controlplane", []string{"-growth", "-pods", "5000", "-services", "1000", "-rounds", "10"}, true},
	{"churn", "controlplane", []string{"-pods", "300", "-services", "30", "-endpoints", "300"}, true},
}

func main() {
	what := flag.String("what", "", "names, with commas between; empty runs all but the long ones")
	churn := flag.Duration("churn", 30*time.Minute, "how long things come and go in the bench churn")
	docs := flag.String("docs", "", "page to put the tables into")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *what, *docs, *churn)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, what, docs string, churn time.Duration) error {
	wanted, err := choose(what)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	for _, b := range benches {
		if !slices.Contains(wanted, b.name) {
			continue
		}
		if b.name == "churn" {
			b.args = append(b.args, "-churn", churn.String())
		}
		err = errors.Join(err, one(ctx, dir, docs, b.name, b.program, b.args))
	}
	return errors.Join(err, os.RemoveAll(dir))
}

// one runs one bench and shows what it found.
func one(ctx context.Context, dir, docs, name, program string, args []string) error {
	file := filepath.Join(dir, name+".json")
	kept := profiles[name]
	if docs == "" {
		kept = nil
	}
	if kept != nil {
		args = append(slices.Clone(args), "-profile", dir)
	}
	cmd := exec.CommandContext(ctx, "go", slices.Concat([]string{"run", "./bench/" + program}, args, []string{"-json", file})...)
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
	if err := keepProfiles(ctx, dir, strings.TrimSuffix(docs, ".md"), kept); err != nil {
		return err
	}
	return insert(docs, name, table)
}

// profiles are what benches write into a folder for -profile, and the type of samples that is shown of each.
var profiles = map[string]map[string]string{
	"controlplane": {"join.cpu": "cpu", "endpoint.cpu": "cpu", "policy.cpu": "cpu", "joined.heap": "inuse_space"},
	"injection":    {"injection.cpu": "cpu"},
}

// keepProfiles writes where processor time and memory go into a folder: as text, and as flame graphs.
func keepProfiles(ctx context.Context, dir, folder string, kept map[string]string) error {
	for name, sampleType := range kept {
		file, to := filepath.Join(dir, name), filepath.Join(folder, name)
		out, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", "-nodecount=60", "-sample_index="+sampleType, file).Output() //nolint:gosec // the bench's own file
		if err != nil {
			return fmt.Errorf("go tool pprof %s: %w", file, err)
		}
		if err := errors.Join(os.MkdirAll(folder, 0o755), os.WriteFile(to+".txt", out, 0o644), flameGraph(file, to+".svg", sampleType)); err != nil {
			return err
		}
	}
	return nil
}

func flameGraph(file, picture, sampleType string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	p, err := profile.ParseData(text)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	var out bytes.Buffer
	if err := flame.Write(&out, p, sampleType); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return os.WriteFile(picture, out.Bytes(), 0o644)
}

func choose(what string) ([]string, error) {
	var known, short []string
	for _, b := range benches {
		known = append(known, b.name)
		if !b.long {
			short = append(short, b.name)
		}
	}
	if what == "" {
		return short, nil
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
	before, rest, _ := bytes.Cut(text, begin)
	_, after, closed := bytes.Cut(rest, end)
	if !closed || bytes.Count(text, begin) != 1 || bytes.Count(text, end) != 1 {
		return nil, fmt.Errorf("no place for the table: %q and after it %q are wanted, each once", begin, end)
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
