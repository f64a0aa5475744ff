package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"openservicemesh.io/osm/bench/internal/report"
)

func p50(s sample) float64    { return s.p50 }
func p99(s sample) float64    { return s.p99 }
func cpu(s sample) float64    { return s.cpu }
func perSec(s sample) float64 { return s.perSec }

// middle is the mean without the lowest and the highest quarter: with connections on one worker or on two, figures lie in two heaps,
// between which a median would jump.
func middle(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	cut := len(sorted) / 4
	sum := 0.0
	for _, v := range sorted[cut : len(sorted)-cut] {
		sum += v
	}
	return sum / float64(len(sorted)-2*cut)
}

// rows adds the figures of a scenario: ratios to the floor's where a bar is set, and what each side did.
func (b *bench) rows(s scenario) {
	if s.rate > 0 {
		b.added(s, "p50", "ms", p50, 1.15, 1)
		b.added(s, "p99", "ms", p99, 1.15, 1)
	} else {
		b.carried(s)
	}
	b.added(s, "CPU per request", "µs", cpu, 1.15, 0.95)
}

// added compares what the mesh adds to a call without any sidecar with what the floor adds.
func (b *bench) added(s scenario, what, unit string, of func(sample) float64, must, aim float64) {
	no, fl, me := b.series(s, none, of), b.series(s, floor, of), b.series(s, mesh, of)
	var ratios []float64
	for i := range me {
		ratios = append(ratios, (me[i]-no[i])/(fl[i]-no[i]))
	}
	b.table.Add(report.Row{
		Name: s.name + ": added " + what, Figure: (middle(me) - middle(no)) / (middle(fl) - middle(no)), Unit: "× floor", Must: must, Aim: aim,
		Runs: len(me), Spread: report.Spread(ratios), Note: fmt.Sprintf("%.4g / %.4g / %.4g %s without, floor, mesh", middle(no), middle(fl), middle(me), unit),
	})
}

func (b *bench) carried(s scenario) {
	no, fl, me := b.series(s, none, perSec), b.series(s, floor, perSec), b.series(s, mesh, perSec)
	var ratios []float64
	for i := range me {
		ratios = append(ratios, me[i]/fl[i])
	}
	b.table.Add(report.Row{
		Name: s.name + ": throughput", Figure: middle(me) / middle(fl), Unit: "× floor", Must: 0.9, Aim: 1, AtLeast: true,
		Runs: len(me), Spread: report.Spread(ratios), Note: fmt.Sprintf("%.0f / %.0f / %.0f per second without, floor, mesh", middle(no), middle(fl), middle(me)),
	})
}

// memory measures the client's sidecar in permissive mode, where it knows every service of the mesh.
func (b *bench) memory(ctx context.Context, counts []string) error {
	if _, err := b.cluster.Run(ctx, "kubectl", "patch", "meshconfig", "osm-mesh-config", "-n", "osm-system", "--type=merge",
		"-p", `{"spec":{"traffic":{"enablePermissiveTrafficPolicyMode":true}}}`); err != nil {
		return err
	}
	for _, count := range counts {
		var n int
		if _, err := fmt.Sscan(count, &n); err != nil {
			return fmt.Errorf("-services %q: a number is wanted", count)
		}
		if err := b.services(ctx, n-1); err != nil {
			return err
		}
		bytes, err := b.anonymous(ctx, mesh, "client")
		if err != nil {
			return err
		}
		if err := b.knows(ctx, n-1); err != nil {
			return err
		}
		must, aim := report.SidecarMemory(n)
		b.table.Add(report.Row{Name: "sidecar memory, " + count + " services", Figure: float64(bytes) / 1e6, Unit: "MB", Must: must, Aim: aim, Runs: 1, Note: "anonymous memory, permissive mode"})
	}
	return nil
}

// services fills the mesh's namespace up to n more services, each with one endpoint, and starts the client anew, so that
// nothing of before is in its memory. It is ready when its sidecar has been given what there is.
func (b *bench) services(ctx context.Context, n int) error {
	var items []string
	for i := range n {
		items = append(items, fmt.Sprintf(`{"apiVersion":"v1","kind":"Service","metadata":{"name":"filler-%[1]d","namespace":"bench-mesh"},"spec":{"ports":[{"name":"http","port":8080}]}},
			{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"filler-%[1]d","namespace":"bench-mesh","labels":{"kubernetes.io/service-name":"filler-%[1]d"}},
			"addressType":"IPv4","ports":[{"name":"http","port":8080}],"endpoints":[{"addresses":["198.51.100.%[2]d"]}]}`, i, 1+i%250))
	}
	if err := b.apply(ctx, mesh, `{"apiVersion":"v1","kind":"List","items":[`+strings.Join(items, ",")+`]}`); err != nil {
		return err
	}
	if _, err := b.cluster.Run(ctx, "kubectl", "delete", "pod", "client", "-n", namespace(mesh)); err != nil {
		return err
	}
	if err := b.pod(ctx, mesh, "client", "", "", ""); err != nil {
		return err
	}
	_, err := b.ready(ctx, mesh, "client")
	return err
}

// knows makes sure that the client's sidecar was given the n-th filler: its filter chain, since of many services clusters come
// with the first call to them. Envoy takes memory for the answer, so this is asked last.
func (b *bench) knows(ctx context.Context, n int) error {
	last := fmt.Sprintf("outbound_bench-mesh/filler-%d_8080_http", n-1)
	out, err := b.cluster.Output(ctx, "osm", "proxy", "get", "config_dump", "client", "-n", namespace(mesh))
	if err == nil && !strings.Contains(out, last) {
		err = fmt.Errorf("the client was measured without its filter chain %s", last)
	}
	return err
}
