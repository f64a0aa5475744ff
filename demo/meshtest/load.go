package meshtest

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// maxValues bounds how many header values and error texts a summary holds.
const maxValues = 32

// Summary is what load prints when it ends.
type Summary struct {
	URL      string `json:"url"`
	Requests int64  `json:"requests"`
	// OK counts statuses below 400; Failed is all the rest, errors included.
	OK     int64 `json:"ok"`
	Failed int64 `json:"failed"`
	// Statuses counts responses by status code, ByHeader by the value of the
	// header -by names.
	Statuses map[string]int64 `json:"statuses"`
	ByHeader map[string]int64 `json:"byHeader"`
	// Errors counts the requests without a response by Kind.
	Errors map[Kind]int64 `json:"errors"`
	// ErrorTexts holds a few different error messages.
	ErrorTexts []string `json:"errorTexts,omitempty"`
	Seconds    float64  `json:"seconds"`
	// Rate is requests per second as achieved.
	Rate          float64          `json:"rate"`
	LatencyMicros map[string]int64 `json:"latencyMicros"`
	// MaxGapMillis is the longest time between two successes in a row, the start
	// and the end counted as successes: how long the service was away.
	MaxGapMillis int64 `json:"maxGapMillis"`
}

// loadPlan is how load goes about it.
type loadPlan struct {
	url, method, body, by string
	header                http.Header
	rate                  float64
	count                 int64
	duration, timeout     time.Duration
	workers               int
	keepalive             bool
}

func runLoad(ctx context.Context, env Env, args []string) int {
	fs := flag.NewFlagSet("load", flag.ContinueOnError)
	var p loadPlan
	var header headerFlag
	fs.StringVar(&p.url, "url", "", "URL to request")
	fs.StringVar(&p.method, "X", http.MethodGet, "method")
	fs.StringVar(&p.body, "d", "", "request body")
	fs.Var(&header, "H", `request header "Name: value", may be repeated`)
	fs.StringVar(&p.by, "by", "Identity", "response header to count by")
	fs.Float64Var(&p.rate, "rate", 100, "requests per second; 0 means as many as possible")
	fs.Int64Var(&p.count, "count", 0, "end after this many requests")
	fs.DurationVar(&p.duration, "duration", 0, "end after this long")
	fs.DurationVar(&p.timeout, "timeout", 5*time.Second, "how long one request may take")
	fs.IntVar(&p.workers, "concurrency", 4, "requests in flight at most")
	fs.BoolVar(&p.keepalive, "keepalive", true, "use connections again")
	mustSucceed := fs.Bool("must-succeed", false, "exit 1 when any request failed")
	if _, code, ok := parse(env, fs, args); !ok {
		return code
	}
	if p.url == "" || (p.count <= 0 && p.duration <= 0) || p.workers < 1 || p.rate < 0 {
		_, _ = io.WriteString(env.Stderr, "osm-meshtest load: want -url, -count or -duration above 0, -concurrency of 1 or more, and -rate of 0 or more\n")
		return exitUsage
	}
	p.header = header.h
	if _, err := newRequest(ctx, p.method, p.url, p.body, p.header); err != nil {
		return fail(env, err)
	}
	s := generate(ctx, p)
	enc := json.NewEncoder(env.Stdout)
	enc.SetIndent("", "  ")
	_ = enc.Encode(s)
	if *mustSucceed && s.Failed > 0 {
		return exitError
	}
	return exitOK
}

// generate runs the load to its end. Stopping early is not a failure: what is
// in flight finishes, and the summary tells what was done.
func generate(ctx context.Context, p loadPlan) Summary {
	if p.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.duration)
		defer cancel()
	}
	client := newClient(p.timeout, p.keepalive, p.workers)
	defer client.CloseIdleConnections()
	start := time.Now()
	t := newTotals(start)
	unbroken := context.WithoutCancel(ctx)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range p.workers {
		wg.Go(func() {
			for {
				// Request n is due at a fixed time after the start, so a slow
				// answer does not lower the rate while workers are free.
				n := next.Add(1) - 1
				if ctx.Err() != nil || (p.count > 0 && n >= p.count) {
					return
				}
				if p.rate > 0 && !pause(ctx, time.Until(start.Add(time.Duration(float64(n)/p.rate*float64(time.Second))))) {
					return
				}
				status, by, took, err := one(unbroken, client, p)
				t.add(status, by, took, err)
			}
		})
	}
	wg.Wait()
	return t.summary(p.url, time.Now())
}

func one(ctx context.Context, client *http.Client, p loadPlan) (status int, by string, took time.Duration, err error) {
	begin := time.Now()
	req, err := newRequest(ctx, p.method, p.url, p.body, p.header)
	if err != nil {
		return 0, "", 0, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", time.Since(begin), err
	}
	defer func() { _ = resp.Body.Close() }()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, resp.Header.Get(p.by), time.Since(begin), err
}

// totals gathers the outcomes of all workers.
type totals struct {
	mu      sync.Mutex
	s       Summary
	latency histogram
	start   time.Time
	lastOK  time.Time
	maxGap  time.Duration
}

func newTotals(start time.Time) *totals {
	return &totals{start: start, lastOK: start, s: Summary{
		Statuses: map[string]int64{}, ByHeader: map[string]int64{}, Errors: map[Kind]int64{},
	}}
}

func (t *totals) add(status int, by string, took time.Duration, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.s.Requests++
	t.latency.add(took)
	if err != nil {
		t.s.Failed++
		t.s.Errors[classify(err)]++
		t.noteText(err.Error())
		return
	}
	t.s.Statuses[strconv.Itoa(status)]++
	if _, known := t.s.ByHeader[by]; !known && len(t.s.ByHeader) >= maxValues {
		by = "others"
	}
	t.s.ByHeader[by]++
	if status >= http.StatusBadRequest {
		t.s.Failed++
		t.s.Errors[KindStatus]++
		return
	}
	t.s.OK++
	now := time.Now()
	t.maxGap = max(t.maxGap, now.Sub(t.lastOK))
	t.lastOK = now
}

func (t *totals) noteText(text string) {
	for _, known := range t.s.ErrorTexts {
		if known == text {
			return
		}
	}
	if len(t.s.ErrorTexts) < maxValues {
		t.s.ErrorTexts = append(t.s.ErrorTexts, text)
	}
}

func (t *totals) summary(url string, end time.Time) Summary {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.s
	s.URL = url
	s.Seconds = end.Sub(t.start).Seconds()
	s.Rate = float64(s.Requests) / max(s.Seconds, 1e-9)
	s.MaxGapMillis = max(t.maxGap, end.Sub(t.lastOK)).Milliseconds()
	s.LatencyMicros = map[string]int64{
		"p50": t.latency.quantile(0.50).Microseconds(), "p90": t.latency.quantile(0.90).Microseconds(),
		"p99": t.latency.quantile(0.99).Microseconds(), "p999": t.latency.quantile(0.999).Microseconds(),
		"max": t.latency.max.Microseconds(),
	}
	return s
}
