package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
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
	rounds := flag.Int("rounds", 10, "how often the pods are made anew; each side has one turn a round in each scenario")
	duration := flag.Duration("duration", 1500*time.Millisecond, "length of one turn")
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
	oncluster.Progress("installing the mesh")
	if err := b.install(ctx); err != nil {
		return err
	}
	return b.namespaces(ctx)
}

func (b *bench) measure(ctx context.Context, only string, rounds int, duration time.Duration, services []string) error {
	chosen := slices.DeleteFunc(scenarios(), func(s scenario) bool { return only != "" && only != s.name })
	if len(chosen) == 0 && only != "memory" {
		return fmt.Errorf("-only %s: no such scenario", only)
	}
	if len(chosen) == 0 {
		rounds = 1
	}
	for round := range rounds {
		if err := b.round(ctx, chosen, round, duration); err != nil {
			return err
		}
	}
	for _, s := range chosen {
		b.rows(s)
	}
	if only == "" || only == "memory" {
		return b.memory(ctx, services)
	}
	return nil
}

// round makes the pods anew and gives every side a turn in each scenario. Between two sidecars there is one connection for each
// worker of the client's, which stays. Whether those fall on one of the server's workers or on two is decided when they are made, and
// is a tenth of a request's processor time, more than what is measured; so it has to be decided often, for every side.
func (b *bench) round(ctx context.Context, chosen []scenario, round int, duration time.Duration) error {
	if err := b.deploy(ctx); err != nil {
		return err
	}
	for _, s := range chosen {
		if err := b.scenario(ctx, s, round, duration); err != nil {
			return err
		}
	}
	return nil
}

// scenario warms every side up and then lets each have its turn. The order is turned round in every other round: whoever
// comes second meets a machine that the first has warmed.
func (b *bench) scenario(ctx context.Context, s scenario, round int, duration time.Duration) error {
	order := slices.Clone(sides)
	if round%2 == 1 {
		slices.Reverse(order)
	}
	for _, side := range order {
		if _, err := b.run(ctx, side, s, min(warmUp, duration)); err != nil {
			return err
		}
	}
	for _, side := range order {
		got, err := b.run(ctx, side, s, duration)
		if err != nil {
			return err
		}
		oncluster.Progress("%-22s %-5s %8.0f /s  p50 %6.2f ms  p99 %6.2f ms  %6.0f µs of CPU a request", s.name, side, got.perSec, got.p50, got.p99, got.cpu)
		if b.samples[s.name] == nil {
			b.samples[s.name] = map[string][]sample{}
		}
		b.samples[s.name][side] = append(b.samples[s.name][side], got)
	}
	return nil
}

// warmUp is how long a side is called before its first turn: its connections are made then.
const warmUp = 400 * time.Millisecond

// series is one quantity of one side, in the order of rounds.
func (b *bench) series(s scenario, side string, of func(sample) float64) []float64 {
	var out []float64
	for _, one := range b.samples[s.name][side] {
		out = append(out, cmp.Or(of(one), 0.001))
	}
	return out
}
