// Command injection measures how long the injection webhook takes to answer, on one core: decoding the request, deciding,
// patching, encoding the response. It sends recorded reviews (testdata/reviews, which bench/injection/record wrote: pods of
// every controller, of one to seven containers) in turn through the real HTTP handler and prints p50, p99 and the rate, by
// the clock and by the processor time this program used, garbage collection included. On a machine that does nothing else
// the two are the same; -max compares p99 of the processor time, which does not depend on what else runs here. The webhook
// remembers of a pod what its replicas have in common; what it does without is measured too, by one that has seen no pod.
//
//	go run ./bench/injection -n 2000 -max 5ms -json injection.json
package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"openservicemesh.io/osm/bench/internal/report"
	"openservicemesh.io/osm/internal/app/injector"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/podpatch"
	"openservicemesh.io/osm/internal/webhook/inject"
	"openservicemesh.io/osm/internal/webhook/server"
)

//go:embed testdata/reviews
var recorded embed.FS

func main() {
	n := flag.Int("n", 2000, "number of reviews")
	limit := flag.Duration("max", 0, "fail when p99 is above this; 0 does not fail")
	file := flag.String("json", "", "file to write the table to")
	profile := flag.String("profile", "", "folder to write injection.cpu into")
	flag.Parse()
	runtime.GOMAXPROCS(1)
	injector.TuneMemory()
	reviews, err := load()
	table := &report.Table{Title: "Injection", Command: "go run ./bench/injection"}
	if err == nil {
		err = profiled(*profile, func() error { return run(os.Stdout, reviews, *n, *limit, table) })
	}
	if err == nil && *file != "" {
		err = table.Write(*file)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

// profiled runs f, and keeps where its processor time goes in a folder unless that is empty.
func profiled(folder string, f func() error) error {
	if folder == "" {
		return f()
	}
	file, err := os.Create(filepath.Join(folder, "injection.cpu"))
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return errors.Join(err, file.Close())
	}
	err = f()
	pprof.StopCPUProfile()
	return errors.Join(err, file.Close())
}

// load reads the recorded reviews, kept as YAML for readers, as the JSON the API server sends.
func load() ([][]byte, error) {
	var out [][]byte
	err := fs.WalkDir(recorded, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := recorded.ReadFile(path)
		if err != nil {
			return err
		}
		js, err := yaml.YAMLToJSONStrict(text)
		out = append(out, js)
		return err
	})
	if err == nil && len(out) == 0 {
		err = errors.New("no recorded reviews")
	}
	return out, err
}

// run answers n reviews, prints how long that took and adds it to a table. It fails where p99 of the processor time is above limit,
// unless that is 0.
func run(w io.Writer, reviews [][]byte, n int, limit time.Duration, t *report.Table) error {
	h := webhook()
	known := func() http.Handler { return h }
	if _, _, err := series(known, reviews, 50*len(reviews)); err != nil { // the first reviews pay for what is made once
		return err
	}
	wall, cpu, err := series(known, reviews, n)
	if err != nil {
		return err
	}
	_, strangers, err := series(webhook, reviews, n)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(w, "%d reviews of %d recorded pods on one core\n", n, len(reviews))
	note := fmt.Sprintf("%d recorded pods in turn, on one core", len(reviews))
	for _, by := range []struct {
		what string
		took []time.Duration
	}{{"by the clock", wall}, {"processor time", cpu}} {
		p99, rate := summary(w, by.what, by.took)
		t.Add(report.Row{Name: "webhook p99, " + by.what, Figure: float64(p99.Microseconds()) / 1000, Unit: "ms", Must: 20, Aim: 5, Runs: n, Note: note})
		t.Add(report.Row{Name: "webhook rate, " + by.what, Figure: rate, Unit: "per second", Must: 200, Aim: 2000, AtLeast: true, Runs: n, Note: note})
	}
	_, rate := summary(w, "unknown pods", strangers)
	t.Add(report.Row{Name: "webhook rate, processor time, of pods unlike any before", Figure: rate, Unit: "per second", Runs: n, Note: note})
	if p99 := p99Of(cpu); limit > 0 && p99 > limit {
		return fmt.Errorf("p99 of the processor time is %v, above %v", p99, limit)
	}
	return nil
}

// webhook is the handler of a webhook that has seen no pod yet.
func webhook() http.Handler {
	log := slog.New(slog.DiscardHandler)
	return server.Review(log, server.Discard{}, (&inject.Injector{State: state{}, Log: log}).Review)
}

// series has n reviews answered, the recorded ones in turn, each by a handler that is asked for before.
func series(handler func() http.Handler, reviews [][]byte, n int) (wall, cpu []time.Duration, err error) {
	wall, cpu = make([]time.Duration, n), make([]time.Duration, n)
	for i := range n {
		s, err := answer(handler(), reviews[i%len(reviews)])
		if err != nil {
			return nil, nil, err
		}
		wall[i], cpu[i] = s.wall, s.cpu
	}
	return wall, cpu, nil
}

// p99Of is the 99th percentile of sorted times.
func p99Of(sorted []time.Duration) time.Duration {
	return sorted[min(len(sorted)-1, len(sorted)*99/100)]
}

// summary sorts the times, prints one line and returns p99 and the rate per second.
func summary(w io.Writer, what string, took []time.Duration) (p99 time.Duration, rate float64) {
	var total time.Duration
	for _, d := range took {
		total += d
	}
	slices.Sort(took)
	n := len(took)
	p99, rate = p99Of(took), float64(n)/total.Seconds()
	_, _ = fmt.Fprintf(w, "  %-15s p50 %-8v p99 %-8v max %-8v rate %.0f/s\n", what,
		took[n/2].Round(time.Microsecond), p99.Round(time.Microsecond), took[n-1].Round(time.Microsecond), rate)
	return p99, rate
}

type sample struct{ wall, cpu time.Duration }

// processorTime is what this process has used so far.
func processorTime() (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts); err != nil {
		return 0, fmt.Errorf("read this process's processor time: %w", err)
	}
	return time.Duration(ts.Nano()), nil
}

func answer(h http.Handler, review []byte) (sample, error) {
	r := httptest.NewRequest(http.MethodPost, names.InjectorWebhookPath, bytes.NewReader(review))
	r.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	used, err := processorTime()
	if err != nil {
		return sample{}, err
	}
	start := time.Now()
	h.ServeHTTP(rec, r)
	wall := time.Since(start)
	after, err := processorTime()
	if err != nil {
		return sample{}, err
	}
	if rec.Code != http.StatusOK || !bytes.Contains(rec.Body.Bytes(), []byte(`"patch":`)) {
		return sample{}, fmt.Errorf("a sample review was not answered with a patch: status %d, %.300s", rec.Code, rec.Body)
	}
	return sample{wall: wall, cpu: after - used}, nil
}

// state is a mesh whose every namespace injects.
type state struct{}

func (state) Namespace(name string) (podpatch.Namespace, bool) {
	return podpatch.Namespace{
		Name: name, Labels: map[string]string{names.LabelMonitoredBy: names.DefaultMeshName},
		Annotations: map[string]string{names.AnnotationInjection: "enabled", names.AnnotationMetrics: "enabled"},
	}, true
}

func (s state) FreshNamespace(_ context.Context, name string) (podpatch.Namespace, error) {
	ns, _ := s.Namespace(name)
	return ns, nil
}

func (state) Settings() podpatch.Settings {
	return podpatch.Settings{
		Mesh:       podpatch.Mesh{Name: names.DefaultMeshName, Namespace: names.DefaultNamespace},
		Images:     podpatch.Images{Envoy: "envoyproxy/envoy:distroless-v1.40.0", Init: "openservicemesh/init:v1", Healthcheck: "openservicemesh/osm-healthcheck:v1"},
		PullPolicy: corev1.PullIfNotPresent, NativeSidecar: true, LogLevel: "error", Verbosity: "info",
		ADSName: "ads." + names.DefaultTrustDomain, RootPEM: rootPEM,
	}
}

// rootPEM has the size of a real root certificate; nothing here reads it.
var rootPEM = "-----BEGIN CERTIFICATE-----\n" + string(bytes.Repeat([]byte("MIIBkTCCATegAwIBAgIRAJ0000000000000000000000000000000000000000000\n"), 12)) + "-----END CERTIFICATE-----\n"
