package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"openservicemesh.io/osm/bench/internal/report"
)

const (
	// samples are taken at the begin of a churn, at its end and in between, evenly.
	samples = 7
	// pace is how often something happens.
	pace = 100 * time.Millisecond
	// settling is how long nothing happens before a sample, so that it has what stays and nothing under way.
	settling = 3 * time.Second
	// most of a growth over the whole run that is taken for noise, whatever the samples' own is.
	heapNoise, goroutineNoise = 0.04, 0.01
)

// sample is what the controller has at one time: live heap in MB after a collection, goroutines, resident memory in MB.
type sample struct {
	at               time.Duration
	heap, goroutines float64
	rss              float64
}

// churner has pods come and go, endpoints flap, policies come and go and streams break.
type churner struct {
	*bench
	rand  *rand.Rand
	split bool
	fresh int // of pods made so far
	done  map[string]int
}

// churn goes on for a given time and fails if the controller ends with more than it had.
func churn(ctx context.Context, b *bench, length time.Duration) error {
	c := &churner{bench: b, rand: rand.New(rand.NewPCG(1, 2)), done: map[string]int{}} //nolint:gosec // the same churn every time
	if err := b.begin(ctx); err != nil {
		return err
	}
	if _, err := b.sidecars.Do("connect", 0, b.pods); err != nil {
		return err
	}
	if err := c.live(ctx, length/20); err != nil { // until caches and pools have what they keep
		return err
	}
	var all []sample
	began := time.Now()
	for i := range samples {
		s, err := c.sample(ctx)
		if err != nil {
			return err
		}
		s.at = time.Since(began)
		all = append(all, s)
		progress("after %s: heap %.1f MB, %.0f goroutines, memory %.0f MB; done: %v", s.at.Round(time.Second), s.heap, s.goroutines, s.rss, c.done)
		if i < samples-1 {
			if err := c.live(ctx, length/(samples-1)); err != nil {
				return err
			}
		}
	}
	return c.judge(all, length)
}

// live lets things happen for a time, then waits until all sidecars are complete.
func (c *churner) live(ctx context.Context, length time.Duration) error {
	for end := time.Now().Add(length); time.Now().Before(end); {
		next := time.Now().Add(pace)
		what, do := c.pick()
		if err := do(ctx); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		c.done[what]++
		time.Sleep(time.Until(next))
	}
	_, err := c.sidecars.Do("complete", c.pods, patience)
	time.Sleep(settling)
	return err
}

func (c *churner) pick() (string, func(context.Context) error) {
	switch n := c.rand.IntN(10); {
	case n < 4:
		return "endpoints", c.flap
	case n < 6:
		return "pods", c.replacePod
	case n < 8:
		return "policies", c.policy
	default:
		return "streams", c.breakStreams
	}
}

// policy writes a split, changes it or takes it away.
func (c *churner) policy(ctx context.Context) error {
	switch {
	case !c.split:
		c.split = true
		return c.world.split(ctx)
	case c.rand.IntN(3) == 0:
		c.split = false
		return c.unsplit(ctx)
	}
	return c.weigh(ctx, 1+c.rand.IntN(99))
}

// breakStreams ends the streams of one in fifty and opens them anew.
func (c *churner) breakStreams(context.Context) error {
	n := max(1, c.pods/50)
	from := c.rand.IntN(c.pods - n + 1)
	if _, err := c.sidecars.Do("disconnect", from, from+n); err != nil {
		return err
	}
	_, err := c.sidecars.Do("connect", from, from+n)
	return err
}

// replacePod deletes a pod and makes another of the same service, with an address and a sidecar of its own.
func (c *churner) replacePod(ctx context.Context) error {
	i := c.rand.IntN(c.pods)
	p := c.order[i]
	s := c.serviceOf(p)
	if _, err := c.sidecars.Do("disconnect", i, i+1); err != nil {
		return err
	}
	now := int64(0)
	if err := c.kube.CoreV1().Pods(namespace(s)).Delete(ctx, c.podNames[p], metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		return err
	}
	c.fresh++
	c.podNames[p] = fmt.Sprintf("%s-%d", podName(p), c.fresh)
	if err := c.writePod(ctx, p); err != nil {
		return err
	}
	first := p / c.services / perSlice * perSlice
	slice := c.slice(s, first, min(perSlice, c.endpointsOf(s)-first))
	if _, err := c.kube.DiscoveryV1().EndpointSlices(namespace(s)).Update(ctx, slice, metav1.UpdateOptions{}); err != nil {
		return err
	}
	if s == 0 {
		c.short = false
	}
	if _, err := c.sidecars.Do("token", i, i+1, c.tokens[p]); err != nil {
		return err
	}
	_, err := c.sidecars.Do("connect", i, i+1)
	return err
}

// sample looks at the controller when nothing is under way.
func (c *churner) sample(ctx context.Context) (sample, error) {
	file := filepath.Join(c.opts.dir, "heap.txt")
	c.fetch(ctx, file, "/debug/pprof/heap?gc=1&debug=1")
	text, err := os.ReadFile(file)
	if err != nil {
		return sample{}, err
	}
	heap, err := heapAlloc(string(text))
	if err != nil {
		return sample{}, err
	}
	goroutines, err := metric(ctx, "go_goroutines")
	now, _ := c.memory()
	return sample{heap: heap, goroutines: goroutines, rss: now}, err
}

// heapAlloc finds the live heap in a profile as text (runtime/pprof writes runtime.MemStats at its end), in MB.
func heapAlloc(profile string) (float64, error) {
	for line := range strings.Lines(profile) {
		if value, ok := strings.CutPrefix(line, "# HeapAlloc = "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			return n / (1 << 20), err
		}
	}
	return 0, errors.New("the heap profile does not tell HeapAlloc; MeshConfig has to enable the debug server")
}

// judge reports the samples and says whether they grow.
func (c *churner) judge(all []sample, length time.Duration) error {
	var done []string
	for _, what := range []string{"endpoints", "pods", "policies", "streams"} {
		done = append(done, fmt.Sprintf("%s %d times", what, c.done[what]))
	}
	var err error
	for _, f := range []struct {
		name, unit string
		noise      float64
		of         func(sample) float64
	}{
		{"live heap after a collection", "MB", heapNoise, func(s sample) float64 { return s.heap }},
		{"goroutines", "", goroutineNoise, func(s sample) float64 { return s.goroutines }},
	} {
		var xs, ys []float64
		for _, s := range all {
			xs, ys = append(xs, s.at.Hours()), append(ys, f.of(s))
		}
		for _, i := range []int{0, len(all) / 2, len(all) - 1} {
			c.row(report.Row{Name: fmt.Sprintf("%s, after %s", f.name, all[i].at.Round(time.Second)), Figure: ys[i], Unit: f.unit, Runs: 1})
		}
		grown, noise := growthOf(xs, ys, f.noise)
		c.row(report.Row{Name: "slope of that", Figure: slope(xs, ys), Unit: strings.TrimSpace(f.unit + " per hour"), Runs: len(all),
			Note: fmt.Sprintf("%+.2f over the run; up to %.2f is noise", grown, noise)})
		if grown > noise {
			err = errors.Join(err, fmt.Errorf("%s grew by %.2f %s in %s, more than noise (%.2f): %.2f", f.name, grown, f.unit, length, noise, ys))
		}
	}
	last := all[len(all)-1]
	c.row(report.Row{Name: "memory (RSS), at the end", Figure: last.rss, Unit: "MB", Runs: 1, Note: strings.Join(done, ", ")})
	return err
}

// growthOf is how much the line that fits best rises from the first to the last x, and how much of a rise is noise: three times
// the deviation from that line, or a part of the mean.
func growthOf(xs, ys []float64, part float64) (grown, noise float64) {
	k := slope(xs, ys)
	var mx, my float64
	for i := range xs {
		mx, my = mx+xs[i]/float64(len(xs)), my+ys[i]/float64(len(ys))
	}
	var square float64
	for i := range xs {
		d := ys[i] - my - k*(xs[i]-mx)
		square += d * d / float64(len(xs))
	}
	return k * (slices.Max(xs) - slices.Min(xs)), max(3*math.Sqrt(square), part*my)
}
