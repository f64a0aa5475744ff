package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"openservicemesh.io/osm/bench/internal/oncluster"
	"openservicemesh.io/osm/bench/internal/report"
	"openservicemesh.io/osm/internal/testkit/cluster"
)

// bench is one run.
type bench struct {
	cluster *cluster.Cluster
	// uids are the pods', by "side/pod".
	uids map[string]string
	// samples are in the order of rounds, by scenario and side.
	samples map[string]map[string][]sample
	table   *report.Table
}

func main() {
	rounds := flag.Int("rounds", 5, "turns of each side in each scenario")
	duration := flag.Duration("duration", 6*time.Second, "length of one turn")
	only := flag.String("only", "", "a scenario's name, or memory; empty runs all")
	services := flag.String("services", "10,100,1000", "numbers of services at which memory is measured")
	oncluster.Main("dataplane", "Data plane", func(ctx context.Context, c *cluster.Cluster, table *report.Table) error {
		b := &bench{cluster: c, uids: map[string]string{}, samples: map[string]map[string][]sample{}, table: table}
		if err := b.up(ctx); err != nil {
			return err
		}
		return b.measure(ctx, *only, *rounds, *duration, strings.Split(*services, ","))
	})
}

func (b *bench) up(ctx context.Context) error {
	if err := b.cluster.LoadPeers(ctx, os.Stderr, "fortio"); err != nil {
		return err
	}
	oncluster.Progress("installing the mesh and the pods")
	if err := b.install(ctx); err != nil {
		return err
	}
	return b.deploy(ctx)
}

func (b *bench) measure(ctx context.Context, only string, rounds int, duration time.Duration, services []string) error {
	known := false
	for _, s := range scenarios() {
		if only != "" && only != s.name {
			continue
		}
		known = true
		if err := b.scenario(ctx, s, rounds, duration); err != nil {
			return err
		}
		b.rows(s)
	}
	if only == "" || only == "memory" {
		return b.memory(ctx, services)
	}
	if !known {
		return fmt.Errorf("-only %s: no such scenario", only)
	}
	return nil
}

// scenario warms every side up and then lets them take turns. The order is turned round in every other round: whoever
// comes second meets a machine that the first has warmed.
func (b *bench) scenario(ctx context.Context, s scenario, rounds int, duration time.Duration) error {
	b.samples[s.name] = map[string][]sample{}
	for _, side := range sides {
		if _, err := b.run(ctx, side, s, min(time.Second, duration)); err != nil {
			return err
		}
	}
	for round := range rounds {
		for i := range sides {
			side := sides[i]
			if round%2 == 1 {
				side = sides[len(sides)-1-i]
			}
			got, err := b.run(ctx, side, s, duration)
			if err != nil {
				return err
			}
			oncluster.Progress("%-22s %-5s %8.0f /s  p50 %6.2f ms  p99 %6.2f ms  %6.0f µs of CPU a request", s.name, side, got.perSec, got.p50, got.p99, got.cpu)
			b.samples[s.name][side] = append(b.samples[s.name][side], got)
		}
	}
	return nil
}

// series is one quantity of one side, in the order of rounds.
func (b *bench) series(s scenario, side string, of func(sample) float64) []float64 {
	var out []float64
	for _, one := range b.samples[s.name][side] {
		out = append(out, cmp.Or(of(one), 0.001))
	}
	return out
}
