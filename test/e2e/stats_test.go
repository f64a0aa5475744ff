package e2e

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"openservicemesh.io/osm/demo/meshtest"
)

// counters are the counters of a pod's sidecar whose names fit a regular expression, as `osm proxy get stats` shows them.
func counters(t *testing.T, namespace, pod, filter string) map[string]int64 {
	t.Helper()
	out, err := mesh.Output(t.Context(), "osm", "proxy", "get", "stats?filter="+url.QueryEscape(filter), pod, "-n", namespace, "-p", "0")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]int64{}
	for line := range strings.Lines(out) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			all[name] = n
		}
	}
	return all
}

// counter is one of them, 0 when there is none of that name.
func counter(t *testing.T, namespace, pod, name string) int64 {
	t.Helper()
	return counters(t, namespace, pod, "^"+regexp.QuoteMeta(name)+"$")[name]
}

// wantCounters waits until the counters whose names begin alike have these values, named by their endings.
func wantCounters(t *testing.T, namespace, pod, prefix string, want map[string]int64) {
	t.Helper()
	eventually(t, 15*time.Second, func() error {
		all, got := counters(t, namespace, pod, "^"+regexp.QuoteMeta(prefix)), map[string]int64{}
		for name := range want {
			got[name] = all[prefix+name]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("counters %s* of %s/%s (-want +got):\n%s", prefix, namespace, pod, diff)
		}
		return nil
	})
}

// configured waits until a sidecar's configuration holds a text.
func configured(t *testing.T, namespace, pod, text string) {
	t.Helper()
	eventually(t, 15*time.Second, func() error {
		out, err := mesh.Output(t.Context(), "osm", "proxy", "get", "config_dump", pod, "-n", namespace, "-p", "0")
		if err == nil && !strings.Contains(out, text) {
			err = fmt.Errorf("the sidecar of %s/%s has no %s in its configuration", namespace, pod, text)
		}
		return err
	})
}

// loadCounts is how many answers of a load had which status.
type loadCounts map[int]int64

// load calls a URL many times, one after the other unless the arguments say otherwise, and says how that went.
func (p pod) load(t *testing.T, args ...string) meshtest.Summary {
	t.Helper()
	args = append([]string{"exec", "-n", p.namespace, p.name, "-c", p.container, "--", "osm-meshtest", "load", "-rate", "0", "-concurrency", "1"}, args...)
	out, err := mesh.Output(t.Context(), "kubectl", args...)
	if err != nil {
		t.Fatal(err)
	}
	var s meshtest.Summary
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatal(err, out)
	}
	return s
}

// wantLoad calls as load does and wants exactly these answers.
func (p pod) wantLoad(t *testing.T, want loadCounts, args ...string) {
	t.Helper()
	s, got := p.load(t, args...), loadCounts{}
	for status, n := range s.Statuses {
		code, err := strconv.Atoi(status)
		if err != nil {
			t.Fatal(err)
		}
		got[code] = n
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("load %v (-want +got):\n%s\nwithout an answer: %v", args, diff, s.ErrorTexts)
	}
}
