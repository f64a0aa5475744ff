package main

import (
	"fmt"
	"slices"
	"time"

	"openservicemesh.io/osm/bench/internal/report"
)

// pair is both servers and what they did, by scenario.
type pair struct {
	size
	rest                  time.Duration // measured at rest
	ours, least           *remote
	oursDid, leastDid     map[string][]sample
	oursEmpty, leastEmpty int
}

// reconnects and joins are few: each takes seconds.
const storms = 3

func compare(s size, rounds, many int, rest time.Duration, profile string) (*report.Table, error) {
	p := &pair{size: s, rest: rest, oursDid: map[string][]sample{}, leastDid: map[string][]sample{}}
	var err error
	if p.ours, err = start("ours", s, profile); err != nil {
		return nil, err
	}
	if p.least, err = start("least", s, ""); err != nil {
		return nil, err
	}
	if err := p.run(rounds); err != nil {
		return nil, err
	}
	if err := p.ours.end(); err != nil {
		return nil, err
	}
	if err := p.least.end(); err != nil {
		return nil, err
	}
	t := &report.Table{
		Title:   fmt.Sprintf("Delta server: %d proxies, %d services, %d endpoints", s.proxies, s.services, s.services*s.endpoints),
		Command: fmt.Sprintf("go run ./bench/xds -proxies %d -services %d -endpoints %d -rounds %d", s.proxies, s.services, s.endpoints, rounds),
	}
	p.rows(t)
	if many > 0 {
		s.endpoints = max(1, many/s.services)
		if err := large(s, t); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (p *pair) run(rounds int) error {
	for name, did := range map[*remote]*int{p.ours: &p.oursEmpty, p.least: &p.leastEmpty} {
		s, err := name.do("empty")
		if err != nil {
			return err
		}
		*did = s.RSS
	}
	if err := p.both("join", "join"); err != nil {
		return err
	}
	if _, err := p.ours.do("heap"); err != nil {
		return err
	}
	for _, change := range []string{changeEndpoint, changePolicy, changePrivate} {
		for round := range rounds {
			if err := p.both(change, "change", change, round); err != nil {
				return err
			}
		}
	}
	for range storms {
		if err := p.both("reconnect", "reconnect"); err != nil {
			return err
		}
	}
	return p.both("quiet", "quiet", p.rest)
}

// both has the two servers do the same, in turns.
func (p *pair) both(scenario string, words ...any) error {
	a, err := p.ours.do(words...)
	if err != nil {
		return fmt.Errorf("ours: %w", err)
	}
	b, err := p.least.do(words...)
	if err != nil {
		return fmt.Errorf("least server: %w", err)
	}
	p.oursDid[scenario] = append(p.oursDid[scenario], a)
	p.leastDid[scenario] = append(p.leastDid[scenario], b)
	return nil
}

// large measures memory alone, with many endpoints.
func large(s size, t *report.Table) error {
	r, err := start("ours", s, "")
	if err != nil {
		return err
	}
	for _, words := range [][]any{{"join"}, {"change", changeEndpoint, 0}, {"change", changePolicy, 0}, {"reconnect"}} {
		if _, err := r.do(words...); err != nil {
			return err
		}
	}
	t.Add(report.Row{Name: fmt.Sprintf("memory (RSS) with %d endpoints, worst", s.services*s.endpoints), Figure: float64(r.peak), Unit: "MB", Must: 400, Aim: 250, Runs: 1,
		Note: "delta server alone, without informers"})
	return r.end()
}

func (p *pair) rows(t *report.Table) {
	n := float64(p.proxies)
	join := p.oursDid["join"][0]
	t.Add(report.Row{Name: "join storm", Figure: n / join.Took.Seconds(), Unit: "joins/s", Must: 300, Aim: 800, AtLeast: true, Runs: 1,
		Note: fmt.Sprintf("least server %.0f; TLS, tokens known to the server", n/p.leastDid["join"][0].Took.Seconds())})
	p.ratio(t, changeEndpoint, "one endpoint changes, last acknowledgement", 2, 1.3)
	p.ratio(t, changePolicy, "policy for all, last acknowledgement", 4, 2)
	t.Add(report.Row{Name: "server CPU for one endpoint", Figure: ms(median(p.oursDid[changeEndpoint], cpuOf)), Unit: "ms", Runs: len(p.oursDid[changeEndpoint]),
		Note: fmt.Sprintf("least server %.0f ms", ms(median(p.leastDid[changeEndpoint], cpuOf)))})
	one := p.oursDid[changeEndpoint][0].Traffic
	t.Add(report.Row{Name: "bytes per affected proxy when a pod joins", Figure: float64(one.Bytes) / float64(max(1, one.Proxies)), Unit: "B", Must: 1700, Aim: 600, Runs: 1})
	var others, touched int64
	for _, s := range p.oursDid[changePrivate] {
		others, touched = max(others, s.Traffic.Others), max(touched, s.Traffic.Proxies)
	}
	t.Add(report.Row{Name: "bytes to proxies that are not affected", Figure: float64(others), Unit: "B", Runs: len(p.oursDid[changePrivate]),
		Note: fmt.Sprintf("must be 0; the endpoint of a cluster that %d proxies use", touched)})
	t.Add(report.Row{Name: "server CPU for an endpoint of few", Figure: ms(median(p.oursDid[changePrivate], cpuOf)), Unit: "ms", Runs: len(p.oursDid[changePrivate])})
	p.ratio(t, "reconnect", "all reconnect, last complete", 3, 1.5)
	t.Add(report.Row{Name: "bytes resent to each on reconnect", Figure: float64(p.oursDid["reconnect"][0].Traffic.Bytes) / n, Unit: "B", Must: 1000, Aim: 500, Runs: storms})
	quiet := p.oursDid["quiet"][0]
	t.Add(report.Row{Name: "idle CPU", Figure: 100 * quiet.CPU.Seconds() / quiet.Took.Seconds(), Unit: "% of a core", Must: 1, Aim: 0.1, Runs: 1,
		Note: fmt.Sprintf("%d bytes sent", quiet.Traffic.Bytes)})
	t.Add(report.Row{Name: "memory (RSS), worst", Figure: float64(p.ours.peak), Unit: "MB", Must: 220, Aim: 130, Runs: 1,
		Note: fmt.Sprintf("empty %d, joined %d; least server %d, %d, worst %d; without informers", p.oursEmpty, join.RSS, p.leastEmpty, p.leastDid["join"][0].RSS, p.least.peak)})
	t.Add(report.Row{Name: "broken streams", Figure: float64(quiet.Traffic.Broken), Unit: "", Runs: 1})
}

// ratio is the median of ours over that of the least server.
func (p *pair) ratio(t *report.Table, scenario, name string, must, aim float64) {
	took := func(s sample) time.Duration { return s.Took }
	a, b := p.oursDid[scenario], p.leastDid[scenario]
	var ratios []float64
	for i := range a {
		ratios = append(ratios, float64(a[i].Took)/float64(b[i].Took))
	}
	slices.Sort(ratios)
	t.Add(report.Row{Name: name, Figure: float64(median(a, took)) / float64(median(b, took)), Unit: "× least", Must: must, Aim: aim, Runs: len(a),
		Spread: fmt.Sprintf("%.2f–%.2f", ratios[0], ratios[len(ratios)-1]),
		Note:   fmt.Sprintf("%.0f ms, worst %.0f; least server %.0f, worst %.0f", ms(median(a, took)), ms(worst(a)), ms(median(b, took)), ms(worst(b)))})
}

func cpuOf(s sample) time.Duration { return s.CPU }

func median(list []sample, of func(sample) time.Duration) time.Duration {
	var all []time.Duration
	for _, s := range list {
		all = append(all, of(s))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

func worst(list []sample) time.Duration {
	var out time.Duration
	for _, s := range list {
		out = max(out, s.Took)
	}
	return out
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
