package xds

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"pgregory.net/rapid"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/testkit/xdstest"
)

// TestSessionKeepsItsPromises drives a session and a client with random configurations, deliveries, refusals and
// reconnects. deltaclient.Model itself fails on a dangling reference and on anything unchanged that comes again, and
// world on a second response in flight; here it is seen that the client converges whenever the world calms down.
func TestSessionKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(envoy.NewResources(drawConfig(t)))
		w.cert = xdstest.Secret(ownCert, 1)
		refuse := func(err error) {
			if err != nil {
				t.Fatalf("%v\n%s\n%s", err, strings.Join(w.story, "\n"), w.describe())
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"configure": func(t *rapid.T) { w.set(drawConfig(t)...) },
			"endpoints": func(t *rapid.T) {
				w.setEndpoints(xdstest.Endpoints(drawName(t, "c", 5), drawRev(t)))
			},
			"rotate": func(t *rapid.T) {
				w.cert = xdstest.Secret(ownCert, rapid.IntRange(1, 4).Draw(t, "cert"))
				w.session.SetCertificate(w.cert)
			},
			"call": func(t *rapid.T) {
				if req := w.client.Ask(drawName(t, "c", 6)); req != nil { // one of them is never there
					w.toServer = append(w.toServer, req)
				}
			},
			"push":   func(*rapid.T) { refuse(w.push()) },
			"hear":   func(*rapid.T) { refuse(w.hear()); refuse(w.push()) },
			"hear2":  func(*rapid.T) { refuse(w.hear()) },
			"answer": func(*rapid.T) { refuse(w.answer()) },
			"later": func(t *rapid.T) {
				if slices.ContainsFunc(w.toServer, func(r *discovery.DeltaDiscoveryRequest) bool { return len(r.GetInitialResourceVersions()) > 0 }) {
					return // who reconnects tells at once what it holds
				}
				w.now = w.now.Add(time.Duration(rapid.IntRange(1, 3000).Draw(t, "ms")) * time.Millisecond)
			},
			"reconnect": func(t *rapid.T) { w.connect() },
			"calm": func(t *rapid.T) {
				refuse(w.run())
				refuse(w.converged())
			},
		})
		refuse(w.run())
		refuse(w.converged())
	})
}

func (w *world) describe() string {
	out := ""
	for _, typ := range envoy.Types() {
		out += fmt.Sprintf("%s\n", typ)
		for _, name := range slices.Sorted(maps.Keys(w.client.Held[typ])) {
			h := w.client.Held[typ][name]
			out += fmt.Sprintf("  %s %s %v\n", name, h.Version, h.Refs)
		}
	}
	return out
}

func drawRev(t *rapid.T) int { return rapid.SampledFrom([]int{1, 2, 3, xdstest.Bad}).Draw(t, "rev") }

func drawName(t *rapid.T, prefix string, n int) string {
	return fmt.Sprint(prefix, rapid.IntRange(0, n-1).Draw(t, prefix))
}

// maybeOnDemand tells which clusters are on demand always or at times.
func maybeOnDemand(cluster string) bool { return cluster == "c2" || alwaysOnDemand(cluster) }

func alwaysOnDemand(cluster string) bool { return cluster == "c3" }

// drawConfig makes a configuration in which every reference is met.
func drawConfig(t *rapid.T) []*envoy.Resource {
	var out []*envoy.Resource
	var clusters, routes []string
	for i := range 5 {
		if !rapid.Bool().Draw(t, "cluster?") {
			continue
		}
		name := fmt.Sprint("c", i)
		clusters = append(clusters, name)
		var secrets []string
		if i%2 == 0 {
			secrets = []string{ownCert, "root"}
		}
		c := xdstest.Cluster(name, drawRev(t), secrets...)
		if maybeOnDemand(name) {
			c = xdstest.OnDemand(c, alwaysOnDemand(name) || rapid.Bool().Draw(t, "on demand?"))
		}
		out = append(out, c)
	}
	out = append(out, xdstest.Secret("root", rapid.IntRange(1, 3).Draw(t, "root")))
	for i := range 3 {
		if rapid.Bool().Draw(t, "route?") {
			routes = append(routes, fmt.Sprint("r", i))
			out = append(out, xdstest.Route(fmt.Sprint("r", i), drawRev(t), some(t, clusters)...))
		}
	}
	for i := range 3 {
		if rapid.Bool().Draw(t, "listener?") {
			out = append(out, xdstest.Listener(fmt.Sprint("l", i), 0, drawRev(t), some(t, routes), some(t, clusters)))
		}
	}
	return out
}

func some(t *rapid.T, of []string) []string {
	var out []string
	for _, s := range of {
		if rapid.IntRange(0, 2).Draw(t, "of") == 0 {
			out = append(out, s)
		}
	}
	return out
}
