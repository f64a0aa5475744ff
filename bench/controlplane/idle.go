package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"openservicemesh.io/osm/bench/internal/report"
)

// idle measures that nothing happens: watches, the lease that replicas share, timers. Probes of connections are the kernel's.
// Metrics are not scraped meanwhile.
func (b *bench) idle(ctx context.Context) error {
	if _, err := b.sidecars.Do("reset"); err != nil {
		return err
	}
	before, err := metric(ctx, collections)
	if err != nil {
		return err
	}
	time.Sleep(settling) // the collection after the burst before is not idleness
	cpu := b.cpu()
	time.Sleep(b.opts.rest)
	used := b.cpu() - cpu
	after, err := metric(ctx, collections)
	if err != nil {
		return err
	}
	got, err := b.sidecars.Do("count")
	if err != nil {
		return err
	}
	b.row(report.Row{Name: "idle controller", Figure: 100 * used.Seconds() / b.opts.rest.Seconds(), Unit: "% of a core", Must: 1, Aim: 0.1, Runs: 1,
		Note: fmt.Sprintf("%d bytes sent and %.0f collections in %s; a collection takes %.0f ms", got.Bytes, after-before, b.opts.rest, ms(b.collection(ctx)))})
	b.profileCPU(ctx, "idle.cpu", b.opts.rest)()
	return nil
}

// collections counts the runs of the controller's collector.
const collections = "go_gc_duration_seconds_count"

// collection is the processor time that one takes: the heap's profile after one, less the profile alone.
func (b *bench) collection(ctx context.Context) time.Duration {
	cost := func(path string) time.Duration {
		cpu := b.cpu()
		if err := debugPage(ctx, io.Discard, path); err != nil {
			progress("%s: %v", path, err)
		}
		return b.cpu() - cpu
	}
	alone := cost("/debug/pprof/heap")
	return max(0, cost("/debug/pprof/heap?gc=1")-alone)
}
