package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// setting makes the UpstreamTrafficSetting of httpbin and waits until the proxies have it.
func setting(t *testing.T, spec string) {
	t.Helper()
	applyText(t, `
apiVersion: policy.openservicemesh.io/v1alpha1
kind: UpstreamTrafficSetting
metadata: {name: setting, namespace: resilience}
spec:
  host: httpbin.resilience.svc.cluster.local
`+spec)
	programmed(t, "upstreamtrafficsetting/setting")
}

// programmed waits until the newest generation of an object is acknowledged by every proxy.
func programmed(t *testing.T, object string) {
	t.Helper()
	eventually(t, 20*time.Second, func() error {
		if got := condition(t, object, "Programmed"); !strings.HasPrefix(got, "True") {
			return fmt.Errorf("%s: %s", object, got)
		}
		return nil
	})
}

// condition reads one condition of the newest generation of an object: status, reason and message.
func condition(t *testing.T, object, name string) string {
	t.Helper()
	at := `.status.conditions[?(@.type=="` + name + `")]`
	out := kubectl(t, "get", object, "-n", "resilience", "-o",
		"jsonpath={.metadata.generation} {"+at+".observedGeneration} {"+at+".status} {"+at+".reason} {"+at+".message}")
	var generation, observed string
	if _, err := fmt.Sscan(out, &generation, &observed); err != nil || generation != observed {
		return "of an older generation: " + out
	}
	return strings.TrimPrefix(out, generation+" "+observed+" ")
}

// What a service's owner says of timeouts, mirrors and faults happens to its callers, and what a proxy refuses is said on
// the object behind it.
func TestResilience(t *testing.T) {
	closedMesh(t)
	startPods(t, "resilience.yaml", "resilience")
	curl := pod{"resilience", "curl", "app"}
	curl.want(t, 0, "200 OK", "get", "http://httpbin.resilience:14001/")
	programmed(t, "traffictarget/curl-calls-httpbin")

	t.Run("timeout", func(t *testing.T) {
		setting(t, "  connectionSettings: {http: {requestTimeout: 500ms}}\n  httpRoutes: [{path: /delay/1s, timeout: 0s}]\n")
		curl.want(t, 0, "504 Gateway Timeout", "get", "-timeout", "20s", "http://httpbin.resilience:14001/delay/19s")
		curl.want(t, 0, "200 OK", "get", "http://httpbin.resilience:14001/delay/1s")
	})
	t.Run("mirror", func(t *testing.T) {
		setting(t, "  mirror: {service: copy}\n")
		curl.want(t, 0, "200 OK", "get", "http://httpbin.resilience:14001/")
		eventually(t, 15*time.Second, func() error {
			if n := counter(t, "resilience", "copy", "cluster.resilience/copy|14001|local.upstream_rq_200"); n == 0 {
				return fmt.Errorf("no copy has arrived")
			}
			return nil
		})
	})
	t.Run("fault", func(t *testing.T) {
		setting(t, "  faultInjection: {abort: {responseStatusCode: 503}}\n")
		curl.want(t, 0, "503 Service Unavailable", "get", "http://httpbin.resilience:14001/")
		kubectl(t, "delete", "upstreamtrafficsetting", "setting", "-n", "resilience")
		curl.want(t, 0, "200 OK", "get", "http://httpbin.resilience:14001/")
	})
	t.Run("tracing", func(t *testing.T) {
		meshConfig(t, `{"spec":{"observability":{"tracing":{"enable":true,"address":"collector.resilience.svc.cluster.local","port":40411}}}}`)
		configured(t, "resilience", "curl", "envoy-tracing-cluster")
		eventually(t, 20*time.Second, func() error {
			curl.want(t, 0, "200 OK", "get", "http://httpbin.resilience:14001/")
			for _, name := range []string{"curl", "httpbin"} {
				if counter(t, "resilience", name, "cluster.envoy-tracing-cluster.upstream_rq_200") == 0 {
					return fmt.Errorf("the sidecar of %s has sent no spans", name)
				}
			}
			return nil
		})
	})
	t.Run("refused", func(t *testing.T) {
		applyText(t, `
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: squatter-calls-httpbin, namespace: resilience}
spec:
  destination: {kind: ServiceAccount, name: httpbin, namespace: resilience}
  sources: [{kind: ServiceAccount, name: squatter, namespace: resilience}]
  rules: [{kind: HTTPRouteGroup, name: everything, matches: [all]}]
`)
		const object = "traffictarget/squatter-calls-httpbin"
		eventually(t, 20*time.Second, func() error {
			got := condition(t, object, "Programmed")
			for _, want := range []string{"False RejectedByProxy", "squatter.resilience", `listener "outbound-listener"`, "Address already in use"} {
				if !strings.Contains(got, want) {
					return fmt.Errorf("%q is not in %s", want, got)
				}
			}
			return nil
		})
		if got := condition(t, object, "Accepted"); !strings.HasPrefix(got, "True") {
			t.Error(got)
		}
		if got := condition(t, "traffictarget/curl-calls-httpbin", "Programmed"); !strings.HasPrefix(got, "True") {
			t.Error("an object that the refusal is not about:", got)
		}
		eventually(t, 15*time.Second, func() error {
			if out := kubectl(t, "get", "events", "-n", "resilience", "--field-selector=reason=RejectedByProxy"); !strings.Contains(out, "squatter-calls-httpbin") {
				return fmt.Errorf("no event: %s", out)
			}
			return nil
		})
		kubectl(t, "delete", "pod", "squatter", "-n", "resilience", "--wait=false")
		programmed(t, object)
	})
}
