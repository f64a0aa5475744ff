package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// scenario is one kind of load. Rate 0 is as fast as it goes.
type scenario struct {
	name        string
	rate        int
	connections int
	target      string
	flags       []string
}

const smallPath, largePath = "/echo?size=1024", "/echo?size=65536"

func scenarios() []scenario {
	http1 := func(path string) string { return fmt.Sprintf("http://server:%d%s", portHTTP, path) }
	http2 := fmt.Sprintf("http://server:%d%s", portH2, smallPath)
	return []scenario{
		{name: "http-500", rate: 500, connections: 8, target: http1(smallPath)},
		{name: "http-max", connections: 16, target: http1(smallPath)},
		{name: "http-64k", connections: 16, target: http1(largePath)},
		{name: "http2-max", connections: 16, target: http2, flags: []string{"-h2"}},
		{name: "grpc-max", connections: 16, target: fmt.Sprintf("server:%d", portGRPC), flags: []string{"-grpc", "-ping"}},
		{name: "tcp-max", connections: 16, target: fmt.Sprintf("tcp://server:%d", portTCP), flags: []string{"-payload-size", "1024"}},
		{name: "http-new-connections", connections: 8, target: http1(smallPath), flags: []string{"-keepalive=false"}},
	}
}

// sample is what one run of one scenario in one namespace showed.
type sample struct {
	requests int64
	perSec   float64
	// p50 and p99 are in milliseconds, cpu in microseconds of both pods for each request.
	p50, p99, cpu float64
}

// fortioResult is the part of `fortio load -json` that is read.
type fortioResult struct {
	ActualQPS         float64
	DurationHistogram struct {
		Count       int64
		Percentiles []struct{ Percentile, Value float64 }
	}
	RetCodes map[string]int64
}

// run puts the load of s on one side's server for a while. Any failed request is an error: a figure of failures is none.
func (b *bench) run(ctx context.Context, side string, s scenario, duration time.Duration) (sample, error) {
	args := []string{"exec", "-n", namespace(side), "client", "-c", "fortio", "--", "fortio", "load", "-quiet", "-json", "-", "-p", "50,99",
		"-r", "0.00005", "-c", fmt.Sprint(s.connections), "-qps", fmt.Sprint(s.rate), "-t", duration.String(), "-allow-initial-errors"}
	before, err := b.cpu(side)
	if err != nil {
		return sample{}, err
	}
	text, err := b.cluster.Output(ctx, "kubectl", append(append(args, s.flags...), s.target)...)
	if err != nil {
		return sample{}, err
	}
	after, err := b.cpu(side)
	if err != nil {
		return sample{}, err
	}
	var r fortioResult
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return sample{}, fmt.Errorf("fortio printed no result: %w\n%s", err, text)
	}
	out := sample{requests: r.DurationHistogram.Count, perSec: r.ActualQPS}
	for code, n := range r.RetCodes {
		if code != "200" && code != "SERVING" && code != "OK" {
			return sample{}, fmt.Errorf("%s, %s: %d requests ended with %q", side, s.name, n, code)
		}
	}
	if out.requests == 0 {
		return sample{}, fmt.Errorf("%s, %s: no request was answered", side, s.name)
	}
	for _, p := range r.DurationHistogram.Percentiles {
		switch p.Percentile {
		case 50:
			out.p50 = 1000 * p.Value
		case 99:
			out.p99 = 1000 * p.Value
		}
	}
	out.cpu = float64((after - before).Microseconds()) / float64(out.requests)
	return out, nil
}
