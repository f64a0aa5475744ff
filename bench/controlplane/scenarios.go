package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"time"

	"openservicemesh.io/osm/bench/internal/fleet"
	"openservicemesh.io/osm/bench/internal/proc"
	"openservicemesh.io/osm/bench/internal/report"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/pki"
)

const (
	patience = time.Minute
	// breath is how long to wait until the work that a change leaves behind is done, so that CPU and bytes are whole.
	breath = 250 * time.Millisecond
	// slowness is how late a slow reader answers.
	slowness = 2 * time.Second
)

// bench is a run.
type bench struct {
	opts options
	*world
	*controller
	sidecars *fleet.Remote
	table    *report.Table
	// affected is how many sidecars may call service 0 in SMI mode; they are the first ones of the fleet.
	affected int
	// order has the pod of each sidecar of the fleet.
	order []int
	// peak is the controller's highest memory so far, peakAt the scenario in which it was.
	peak   float64
	peakAt string
}

// measured is one change: from the begin of its write until the last sidecar concerned had acknowledged it.
type measured struct {
	took, cpu time.Duration
	got       fleet.Answer
}

func (b *bench) end() {
	if b.sidecars != nil {
		_ = b.sidecars.End()
	}
	if b.process != nil {
		b.kill()
	}
}

// scenarios runs all of them, in the order of the table.
func (b *bench) scenarios(ctx context.Context) error {
	for _, s := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"start", b.begin}, {"join storm", b.joinStorm}, {"endpoint", b.endpoint}, {"policy", b.policy}, {"slow readers", b.slowReaders},
		{"refusal", b.refusal}, {"rolling deployment", b.rolling}, {"reconnect", b.reconnect}, {"permissive off", b.smi},
		{"endpoint of few", b.few}, {"permissive on", b.permissiveOn}, {"idle", b.idle}, {"controller killed", b.killed},
	} {
		began := time.Now()
		if err := s.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		now, peak := b.memory()
		progress("%s (%.0f s; memory %.0f MB, at most %.0f)", s.name, time.Since(began).Seconds(), now, peak)
		if peak > b.peak {
			b.peak, b.peakAt = peak, s.name
		}
		proc.Forget(b.cmd.Process.Pid)
	}
	must, aim := 220.0, 130.0
	if b.endpoints > 1000 {
		must, aim = 400, 250
	}
	b.row(report.Row{Name: "memory (RSS), worst over all scenarios", Figure: b.peak, Unit: "MB", Must: must, Aim: aim, Runs: 1,
		Note: "informers included; in the scenario: " + b.peakAt})
	return nil
}

func (b *bench) row(r report.Row) { b.table.Add(r) }

// begin starts the controller before the sidecars.
func (b *bench) begin(ctx context.Context) error {
	began := time.Now()
	if err := b.start(ctx); err != nil {
		return err
	}
	took := time.Since(began)
	now, _ := b.memory()
	b.row(report.Row{Name: "controller started → ready", Figure: took.Seconds(), Unit: "s", Runs: 1})
	b.row(report.Row{Name: "memory (RSS), no sidecars", Figure: now, Unit: "MB", Runs: 1})
	roots, err := b.roots(ctx)
	if err != nil {
		return err
	}
	spec := fleet.Spec{Address: net.JoinHostPort("127.0.0.1", strconv.Itoa(names.PortADS)), Name: pki.ADSName(trustDomain), Roots: roots}
	// Those that may call service 0 in SMI mode come first.
	for _, first := range []bool{true, false} {
		for p, token := range b.tokens {
			if (b.serviceOf(p) == 1) == first {
				spec.Tokens = append(spec.Tokens, token)
				b.order = append(b.order, p)
			}
		}
		if first {
			b.affected = len(spec.Tokens)
		}
	}
	b.sidecars, err = fleet.Start(spec, os.Args[0], "-fleet")
	return err
}

// change makes a change and waits for n acknowledgements of a type.
func (b *bench) change(n int, typ string, do func() error) (measured, error) {
	if _, err := b.sidecars.Do("reset"); err != nil {
		return measured{}, err
	}
	cpu, begin := b.cpu(), time.Now()
	if err := do(); err != nil {
		return measured{}, err
	}
	got, err := b.sidecars.Do("await", typ, n, patience)
	if err != nil {
		return measured{}, err
	}
	m := measured{took: got.At.Sub(begin)}
	time.Sleep(breath)
	m.cpu = b.cpu() - cpu
	m.got, err = b.sidecars.Do("count")
	return m, err
}

// repeat makes a change many times.
func (b *bench) repeat(n int, typ string, do func(round int) error) ([]measured, error) {
	var all []measured
	for round := range b.opts.rounds {
		m, err := b.change(n, typ, func() error { return do(round) })
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

func (b *bench) joinStorm(ctx context.Context) error {
	stop := b.profileCPU(ctx, "join.cpu", profileLength)
	before, begin := b.spent(), time.Now()
	if _, err := b.sidecars.Do("connect", 0, b.pods); err != nil {
		return err
	}
	got, err := b.sidecars.Do("complete", b.pods, patience)
	if err != nil {
		return err
	}
	took := got.At.Sub(begin)
	used := b.spent().since(before)
	now, _ := b.memory()
	stop()
	reviews, err := metric(ctx, `osm_control_plane_tokens_total{by="review"}`)
	if err != nil {
		return err
	}
	b.row(report.Row{Name: "join storm", Figure: float64(b.pods) / took.Seconds(), Unit: "joins/s", Must: 300, Aim: 800, AtLeast: true, Runs: 1,
		Note: fmt.Sprintf("all complete after %.2f s; TLS, tokens, certificates; CPU for each: %s", took.Seconds(), used.each(b.pods))})
	b.row(report.Row{Name: "token reviews for that", Figure: reviews, Runs: 1, Note: "the rest verified with the cluster's published keys"})
	b.row(report.Row{Name: "memory (RSS), all joined", Figure: now, Unit: "MB", Runs: 1})
	b.profileHeap(ctx, "joined.heap")
	return nil
}

// spent is the processor time of everybody in a run, so that it can be seen who took the two cores.
type spent struct{ controller, sidecars, cluster time.Duration }

func (b *bench) spent() spent {
	s := spent{controller: b.cpu(), sidecars: b.sidecars.CPU()}
	for _, p := range b.processes {
		s.cluster += proc.CPU(p.cmd.Process.Pid)
	}
	return s
}

func (s spent) since(o spent) spent {
	return spent{s.controller - o.controller, s.sidecars - o.sidecars, s.cluster - o.cluster}
}

func (s spent) each(n int) string {
	of := func(d time.Duration) float64 { return ms(d) / float64(n) }
	return fmt.Sprintf("controller %.2f ms, simulated sidecars %.2f, API server and etcd %.2f", of(s.controller), of(s.sidecars), of(s.cluster))
}

// cost reports a repeated change: how long it took, the bytes that each receiver got, and the controller's CPU.
func (b *bench) cost(what string, bytes report.Row, all []measured) {
	b.times(what, all)
	bytes.Figure, bytes.Runs = perReceiver(all), len(all)
	b.row(bytes)
	b.cpuRow("controller CPU for that", all)
}

func (b *bench) endpoint(ctx context.Context) error {
	stop := b.profileCPU(ctx, "endpoint.cpu", profileLength)
	all, err := b.repeat(b.pods, "EDS", func(int) error { return b.flap(ctx) })
	stop()
	if err != nil {
		return err
	}
	sent := report.Row{Name: "bytes per affected sidecar for that", Unit: "B", Must: 1700, Aim: 600}
	if each := b.endpoints / b.services; each != barEndpoints {
		sent.Must, sent.Aim, sent.Note = 0, 0, fmt.Sprintf("of a service of %d endpoints; the bars are for %d", each, barEndpoints)
	}
	b.cost("one endpoint changes, last acknowledgement", sent, all)
	return nil
}

// barEndpoints is how many endpoints the service has whose bytes the bars are for: a cluster's addresses are one resource.
const barEndpoints = 10

func (b *bench) policy(ctx context.Context) error {
	if _, err := b.change(b.pods, "RDS", func() error { return b.split(ctx) }); err != nil {
		return err
	}
	stop := b.profileCPU(ctx, "policy.cpu", profileLength)
	all, err := b.repeat(b.pods, "RDS", func(round int) error { return b.weigh(ctx, 50+10*(round%2)+5) })
	stop()
	if err != nil {
		return err
	}
	b.cost("policy for all, last acknowledgement", report.Row{Name: "bytes per sidecar for that", Unit: "B"}, all)
	return nil
}

// slowReaders: one sidecar of a hundred answers late, the others must not wait for it.
func (b *bench) slowReaders(ctx context.Context) error {
	slow := max(1, b.pods/100)
	if _, err := b.sidecars.Do("slow", 0, slow, slowness); err != nil {
		return err
	}
	var all []measured
	for range min(b.opts.rounds, 5) {
		m, err := b.change(b.pods-slow, "EDS", func() error { return b.flap(ctx) })
		if err != nil {
			return err
		}
		all = append(all, m)
	}
	b.times(fmt.Sprintf("the same with %d slow readers, last of the others", slow), all)
	if _, err := b.sidecars.Do("slow", 0, slow, time.Duration(0)); err != nil {
		return err
	}
	time.Sleep(2 * slowness)
	return nil
}

// refusal: one sidecar refuses a policy for all.
func (b *bench) refusal(ctx context.Context) error {
	if _, err := b.sidecars.Do("refuse", 0, 1); err != nil {
		return err
	}
	m, err := b.change(b.pods, "RDS", func() error { return b.weigh(ctx, 20) })
	if err != nil {
		return err
	}
	b.times("policy for all while one sidecar refuses it", []measured{m})
	if _, err := b.sidecars.Do("accept", 0, 1); err != nil {
		return err
	}
	_, err = b.change(b.pods, "RDS", func() error { return b.weigh(ctx, 80) })
	return err
}

// rolling replaces the pods of one service, one by one: a new pod, its endpoint, the old pod gone.
func (b *bench) rolling(ctx context.Context) error {
	var all []measured
	for round := range min(b.opts.rounds, b.pods/b.services) {
		old := round * b.services
		m, err := b.change(b.pods, "EDS", func() error { return b.replace(ctx, old) })
		if err != nil {
			return err
		}
		all = append(all, m)
	}
	b.times("rolling deployment, one pod replaced, last acknowledgement", all)
	b.cpuRow("controller CPU for that", all)
	return nil
}

func (b *bench) reconnect(context.Context) error {
	var all []measured
	for range min(b.opts.rounds, 3) {
		if _, err := b.sidecars.Do("disconnect", 0, b.pods); err != nil {
			return err
		}
		time.Sleep(breath)
		for _, command := range []string{"reset", "forget"} {
			if _, err := b.sidecars.Do(command); err != nil {
				return err
			}
		}
		cpu, begin := b.cpu(), time.Now()
		if _, err := b.sidecars.Do("connect", 0, b.pods); err != nil {
			return err
		}
		got, err := b.sidecars.Do("complete", b.pods, patience)
		if err != nil {
			return err
		}
		m := measured{took: got.At.Sub(begin)}
		time.Sleep(breath)
		m.cpu = b.cpu() - cpu
		if m.got, err = b.sidecars.Do("count"); err != nil {
			return err
		}
		all = append(all, m)
	}
	b.cost("all reconnect, last complete", report.Row{Name: "bytes resent to each on reconnect", Unit: "B", Must: 1000, Aim: 500}, all)
	return nil
}

// smi ends permissive mode; the split would let callers of its backends call service 0 too.
func (b *bench) smi(ctx context.Context) error {
	if _, err := b.change(b.pods, "RDS", func() error { return b.unsplit(ctx) }); err != nil {
		return err
	}
	m, err := b.change(b.pods, "CDS", func() error { return b.permissive(ctx, false) })
	if err != nil {
		return err
	}
	b.times("permissive mode off, last acknowledgement", []measured{m})
	b.cpuRow("controller CPU for that", []measured{m})
	time.Sleep(2 * time.Second)
	return nil
}

// few measures an endpoint that concerns few, with more and more sidecars which it does not concern.
func (b *bench) few(ctx context.Context) error {
	var xs, ys []float64
	var others int
	connected := b.pods
	for _, n := range []int{b.pods, b.pods / 2, max(b.affected, b.pods/10)} {
		if _, err := b.sidecars.Do("disconnect", n, connected); err != nil {
			return err
		}
		connected = n
		time.Sleep(2 * breath)
		all, err := b.repeat(b.affected, "EDS", func(int) error { return b.flap(ctx) })
		if err != nil {
			return err
		}
		for _, m := range all {
			others = max(others, m.got.Receivers-b.affected)
		}
		cpu := ms(median(all, func(m measured) time.Duration { return m.cpu }))
		xs, ys = append(xs, float64(n-b.affected)), append(ys, cpu)
		b.row(report.Row{Name: fmt.Sprintf("controller CPU for an endpoint of %d, beside %d others", b.affected, n-b.affected), Figure: cpu, Unit: "ms", Runs: len(all), Spread: spread(all, func(m measured) time.Duration { return m.cpu })})
	}
	b.row(report.Row{Name: "slope of that", Figure: 1000 * 1000 * slope(xs, ys), Unit: "µs per 1,000 others", Runs: len(xs)})
	b.row(report.Row{Name: "sidecars that got bytes although not concerned", Figure: float64(others), Runs: 3 * b.opts.rounds, Note: "must be 0"})
	if _, err := b.sidecars.Do("forget"); err != nil { // else the old streams count as complete, and what follows is measured meanwhile
		return err
	}
	if _, err := b.sidecars.Do("connect", connected, b.pods); err != nil {
		return err
	}
	_, err := b.sidecars.Do("complete", b.pods-connected, patience)
	return err
}

func (b *bench) permissiveOn(ctx context.Context) error {
	stop := b.profileCPU(ctx, "permissive.cpu", profileLength)
	m, err := b.change(b.pods, "CDS", func() error { return b.permissive(ctx, true) })
	stop()
	if err != nil {
		return err
	}
	b.times("permissive mode on, last acknowledgement", []measured{m})
	b.cpuRow("controller CPU for that", []measured{m})
	time.Sleep(2 * time.Second)
	return nil
}

// killed ends the controller without a warning and starts another.
func (b *bench) killed(ctx context.Context) error {
	before, err := b.sidecars.Do("count")
	if err != nil {
		return err
	}
	b.row(report.Row{Name: "streams that ended unasked until here", Figure: float64(before.Broken), Runs: 1, Note: before.Why})
	for _, command := range []string{"reset", "forget"} {
		if _, err := b.sidecars.Do(command); err != nil {
			return err
		}
	}
	begin := time.Now()
	b.kill()
	if err := b.start(ctx); err != nil {
		return err
	}
	got, err := b.sidecars.Do("complete", b.pods, patience)
	if err != nil {
		return err
	}
	b.row(report.Row{Name: "controller killed → all complete with another", Figure: got.At.Sub(begin).Seconds(), Unit: "s", Must: 10, Aim: 2, Runs: 1,
		Note: fmt.Sprintf("started at once; %.0f bytes resent to each", perReceiver([]measured{{got: got}}))})
	return nil
}

// slope is that of the line that fits best.
func slope(xs, ys []float64) float64 {
	var mx, my float64
	for i := range xs {
		mx, my = mx+xs[i]/float64(len(xs)), my+ys[i]/float64(len(ys))
	}
	var up, down float64
	for i := range xs {
		up, down = up+(xs[i]-mx)*(ys[i]-my), down+(xs[i]-mx)*(xs[i]-mx)
	}
	if down == 0 {
		return 0
	}
	return up / down
}

func (b *bench) times(name string, all []measured) {
	took := func(m measured) time.Duration { return m.took }
	b.row(report.Row{Name: name, Figure: ms(median(all, took)), Unit: "ms", Runs: len(all), Spread: spread(all, took)})
}

func (b *bench) cpuRow(name string, all []measured) {
	cpu := func(m measured) time.Duration { return m.cpu }
	b.row(report.Row{Name: name, Figure: ms(median(all, cpu)), Unit: "ms", Runs: len(all), Spread: spread(all, cpu)})
}

func median(all []measured, of func(measured) time.Duration) time.Duration {
	var list []time.Duration
	for _, m := range all {
		list = append(list, of(m))
	}
	slices.Sort(list)
	return list[len(list)/2]
}

func spread(all []measured, of func(measured) time.Duration) string {
	low, high := of(all[0]), of(all[0])
	for _, m := range all {
		low, high = min(low, of(m)), max(high, of(m))
	}
	return fmt.Sprintf("%.1f–%.1f", ms(low), ms(high))
}

// perReceiver is the mean of bytes to each sidecar that got any.
func perReceiver(all []measured) float64 {
	var bytes, receivers int
	for _, m := range all {
		bytes, receivers = bytes+m.got.Bytes, receivers+m.got.Receivers
	}
	return float64(bytes) / float64(max(1, receivers))
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
