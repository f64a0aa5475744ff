package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"openservicemesh.io/osm/bench/internal/proc"
	"openservicemesh.io/osm/bench/internal/report"
)

// sizesOf are the meshes that growth measures, smallest first: proxies at 100 services, then services at 1,000 proxies.
func sizesOf(pods, services int) []size {
	all := []size{}
	for _, n := range []int{100, 1000, 2500, 5000} {
		if n <= pods {
			all = append(all, size{pods: n, services: 100, endpoints: max(1000, n)})
		}
	}
	for _, n := range []int{10, 300, 1000} {
		if n <= services {
			all = append(all, size{pods: 1000, services: n, endpoints: 1000})
		}
	}
	return all
}

// grown is what one size costs the controller.
type grown struct {
	size
	joins         float64 // per second
	joinCPU       float64 // ms for each
	empty, joined float64 // resident memory in MB, joined after a breath
	worst         float64
	cpu, last     float64 // of a changed endpoint that all use: ms of CPU, ms until the last acknowledgement
	bytes         float64 // to each sidecar for that
	joinBytes     float64 // to each sidecar when it joins
}

// measureGrowth takes one mesh up, measures and takes it down.
func measureGrowth(ctx context.Context, o options) (g grown, err error) {
	began := time.Now()
	o.dir = filepath.Join(o.dir, fmt.Sprintf("%d-%d", o.pods, o.services))
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return g, err
	}
	b, end, err := prepare(ctx, o)
	if err != nil {
		return g, err
	}
	defer end()
	g.size = o.size
	if err := b.begin(ctx); err != nil {
		return g, err
	}
	g.empty, _ = b.memory()
	proc.Forget(b.cmd.Process.Pid)
	cpu, from := b.cpu(), time.Now()
	if _, err := b.sidecars.Do("connect", 0, b.pods); err != nil {
		return g, err
	}
	got, err := b.sidecars.Do("complete", b.pods, growthPatience)
	if err != nil {
		return g, err
	}
	g.joins = float64(b.pods) / got.At.Sub(from).Seconds()
	g.joinCPU = ms(b.cpu()-cpu) / float64(b.pods)
	g.joinBytes = perReceiver([]measured{{got: got}})
	time.Sleep(settling)
	g.joined, _ = b.memory()
	all, err := b.repeat(b.pods, "EDS", func(int) error { return b.flap(ctx) })
	if err != nil {
		return g, err
	}
	g.cpu = ms(median(all, func(m measured) time.Duration { return m.cpu }))
	g.last = ms(median(all, func(m measured) time.Duration { return m.took }))
	g.bytes = perReceiver(all)
	_, g.worst = b.memory()
	progress("%d proxies, %d services: %.0f joins/s, %.0f MB, %.1f ms CPU an endpoint (%.0f s)", o.pods, o.services, g.joins, g.joined, g.cpu, time.Since(began).Seconds())
	return g, nil
}

// growthPatience is how long all may take to join the largest mesh.
const growthPatience = 4 * time.Minute

// figures are the rows of each size, and what each is per proxy or per service.
var figures = []struct {
	name, unit string
	of         func(grown) float64
	// each is the unit of the slope, scale what makes it of the figure's unit; "" means that no line fits.
	each  string
	scale float64
}{
	{"joins", "joins/s", func(g grown) float64 { return g.joins }, "", 0},
	{"controller CPU for a join", "ms", func(g grown) float64 { return g.joinCPU }, "µs", 1000},
	{"bytes to each sidecar when it joins", "B", func(g grown) float64 { return g.joinBytes }, "B", 1},
	{"memory (RSS), no sidecars", "MB", func(g grown) float64 { return g.empty }, "kB", 1024},
	{"memory (RSS), all joined", "MB", func(g grown) float64 { return g.joined }, "kB", 1024},
	{"memory (RSS), worst", "MB", func(g grown) float64 { return g.worst }, "kB", 1024},
	{"controller CPU for an endpoint of all", "ms", func(g grown) float64 { return g.cpu }, "µs", 1000},
	{"one endpoint changes, last acknowledgement", "ms", func(g grown) float64 { return g.last }, "µs", 1000},
	{"bytes to each sidecar for that", "B", func(g grown) float64 { return g.bytes }, "B", 1},
}

// growth measures all sizes and fits lines.
func growth(ctx context.Context, o options) (*report.Table, error) {
	t := &report.Table{Title: "Growth of the control plane, everybody may call everybody",
		Command: fmt.Sprintf("go run ./bench/controlplane -growth -pods %d -services %d -rounds %d", o.pods, o.services, o.rounds)}
	var all []grown
	for _, z := range sizesOf(o.pods, o.services) {
		one := o
		one.size = z
		g, err := measureGrowth(ctx, one)
		if err != nil {
			return nil, fmt.Errorf("%d proxies, %d services: %w", z.pods, z.services, err)
		}
		all = append(all, g)
	}
	for _, f := range figures {
		for _, g := range all {
			t.Add(report.Row{Name: fmt.Sprintf("%s: %d proxies, %d services", f.name, g.pods, g.services), Figure: f.of(g), Unit: f.unit, Runs: 1})
		}
		if f.each != "" {
			slopes(t, f.name, f.each, f.scale, all, f.of)
		}
	}
	return t, nil
}

// slopes adds those over proxies at 100 services and over services at 1,000 proxies.
func slopes(t *report.Table, name, each string, scale float64, all []grown, of func(grown) float64) {
	for _, over := range []struct {
		what string
		same func(grown) bool
		x    func(grown) int
	}{
		{"proxy", func(g grown) bool { return g.services == 100 }, func(g grown) int { return g.pods }},
		{"service", func(g grown) bool { return g.pods == 1000 }, func(g grown) int { return g.services }},
	} {
		var xs, ys []float64
		for _, g := range all {
			if over.same(g) {
				xs, ys = append(xs, float64(over.x(g))), append(ys, of(g))
			}
		}
		if len(xs) > 1 {
			t.Add(report.Row{Name: name + ": slope", Figure: scale * slope(xs, ys), Unit: each + " per " + over.what, Runs: len(xs)})
		}
	}
}
