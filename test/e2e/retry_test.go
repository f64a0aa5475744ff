package e2e

import (
	"fmt"
	"testing"
	"time"
)

// startPods applies a feature's manifest into its namespaces of the mesh, which go when the test ends, and waits for the pods.
func startPods(t *testing.T, manifest string, namespaces ...string) {
	t.Helper()
	meshNamespaces(t, namespaces...)
	apply(t, manifest)
	for _, ns := range namespaces {
		kubectl(t, "wait", "pods", "--all", "-n", ns, "--for=condition=Ready", "--timeout=90s")
	}
}

const (
	retriesPrefix = "cluster.retry/httpbin|14001.upstream_rq_retry"
	retriesOff    = `{"spec":{"featureFlags":{"enableRetryPolicy":false}}}`
)

// What always fails is tried five times more, waiting longer each time, as the counters that users know say. Without the
// flag too; the flag set to false switches it off.
func TestRetryPolicy(t *testing.T) {
	closedMesh(t)
	startPods(t, "retry.yaml", "retry")
	curl := pod{"retry", "curl", "app"}
	curl.want(t, 0, "200 OK", "get", "http://httpbin.retry:14001/status/200")

	curl.want(t, 0, "503 Service Unavailable", "get", "http://httpbin.retry:14001/status/503")
	wantCounters(t, "retry", "curl", retriesPrefix, map[string]int64{"": 5, "_limit_exceeded": 1, "_backoff_exponential": 5, "_success": 0})

	t.Run("a try that takes too long is one of them", func(t *testing.T) {
		begin := time.Now()
		curl.want(t, 0, "504 Gateway Timeout", "get", "-timeout", "20s", "http://httpbin.retry:14001/delay/30s")
		t.Logf("six tries of a second each took %s", time.Since(begin))
		wantCounters(t, "retry", "curl", "cluster.retry/httpbin|14001.upstream_rq_", map[string]int64{"per_try_timeout": 6, "retry": 10})
	})
	t.Run("flag explicitly false", func(t *testing.T) {
		meshConfig(t, retriesOff)
		eventually(t, 15*time.Second, func() error {
			before := counter(t, "retry", "curl", retriesPrefix)
			if out, code := curl.meshtest(t, "get", "http://httpbin.retry:14001/status/503"); code != 0 {
				t.Fatal(out)
			}
			if after := counter(t, "retry", "curl", retriesPrefix); after != before {
				return fmt.Errorf("%d more tries", after-before)
			}
			return nil
		})
	})
	t.Run("Retry deleted", func(t *testing.T) {
		curl.want(t, 0, "503", "get", "http://httpbin.retry:14001/status/503")
		kubectl(t, "delete", "retry", "retry", "-n", "retry")
		eventually(t, 15*time.Second, func() error {
			before := counter(t, "retry", "curl", retriesPrefix)
			curl.want(t, 0, "503", "get", "http://httpbin.retry:14001/status/503")
			if after := counter(t, "retry", "curl", retriesPrefix); after != before {
				return fmt.Errorf("%d more tries", after-before)
			}
			return nil
		})
	})
}
