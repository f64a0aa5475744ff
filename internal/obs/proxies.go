package obs

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"
)

// proxyCounters counts what is said and done on each proxy's stream. A CounterVec takes 800 bytes for a counter, of which a proxy
// has ten, and looks at the counters of all proxies to find those of one that left. It is a prometheus.Collector.
type proxyCounters struct {
	descs [proxyEvents]*prometheus.Desc

	mu      sync.Mutex
	proxies map[proxyName]*proxyCounts
}

type proxyName struct{ uuid, identity string }

// proxyCounts are one proxy's, a row for each xDS type.
type proxyCounts []typeCounts

type typeCounts struct {
	typeURL string
	counts  [proxyEvents]uint64
}

// proxyEvent is what is counted.
type proxyEvent int

const (
	proxyRequested proxyEvent = iota
	proxySent
	proxyNotSent
	proxyEvents
)

// Labels of these counters, sorted as Prometheus has them.
const (
	labelIdentity = "identity"
	labelUUID     = "proxy_uuid"
	labelType     = "type"
)

func newProxyCounters() *proxyCounters {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(prefix+name, help, []string{labelIdentity, labelUUID, labelType}, nil)
	}
	return &proxyCounters{proxies: map[proxyName]*proxyCounts{}, descs: [proxyEvents]*prometheus.Desc{
		proxyRequested: desc("proxy_xds_request_count", "Requests made by proxies."),
		proxySent:      desc("proxy_response_send_success_count", "Responses sent to proxies."),
		proxyNotSent:   desc("proxy_response_send_error_count", "Responses that could not be sent to proxies."),
	}}
}

func (c *proxyCounters) count(p proxyName, typeURL string, what proxyEvent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	counts := c.proxies[p]
	if counts == nil {
		counts = &proxyCounts{}
		c.proxies[p] = counts
	}
	counts.of(typeURL).counts[what]++
}

func (c *proxyCounts) of(typeURL string) *typeCounts {
	for i := range *c {
		if (*c)[i].typeURL == typeURL {
			return &(*c)[i]
		}
	}
	*c = append(*c, typeCounts{typeURL: typeURL})
	return &(*c)[len(*c)-1]
}

func (c *proxyCounters) drop(p proxyName) {
	c.mu.Lock()
	delete(c.proxies, p)
	c.mu.Unlock()
}

// Describe implements prometheus.Collector.
func (c *proxyCounters) Describe(to chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *proxyCounters) Collect(to chan<- prometheus.Metric) {
	for _, s := range c.series() {
		to <- s
	}
}

// series are the counters that have counted something.
func (c *proxyCounters) series() []proxySeries {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []proxySeries
	types := map[string]*dto.LabelPair{}
	for p, counts := range c.proxies {
		identity, uuid := label(labelIdentity, p.identity), label(labelUUID, p.uuid)
		for _, t := range *counts {
			if types[t.typeURL] == nil {
				types[t.typeURL] = label(labelType, t.typeURL)
			}
			labels := []*dto.LabelPair{identity, uuid, types[t.typeURL]}
			for what, n := range t.counts {
				if n > 0 {
					out = append(out, proxySeries{c.descs[what], labels, n})
				}
			}
		}
	}
	return out
}

func label(name, value string) *dto.LabelPair {
	return &dto.LabelPair{Name: proto.String(name), Value: proto.String(value)}
}

// proxySeries is a counter as a scrape sees it: series share the labels that they have in common.
type proxySeries struct {
	desc   *prometheus.Desc
	labels []*dto.LabelPair
	count  uint64
}

// Desc implements prometheus.Metric.
func (s proxySeries) Desc() *prometheus.Desc { return s.desc }

// Write implements prometheus.Metric.
func (s proxySeries) Write(to *dto.Metric) error {
	to.Label, to.Counter = s.labels, &dto.Counter{Value: proto.Float64(float64(s.count))}
	return nil
}
