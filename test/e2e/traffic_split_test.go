package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// splitApex spreads what is sent to the Service apex: "v1: 50" and so on.
func splitApex(t *testing.T, backends ...string) {
	t.Helper()
	text := `
apiVersion: split.smi-spec.io/v1alpha2
kind: TrafficSplit
metadata: {name: apex, namespace: split}
spec:
  service: apex.split.svc.cluster.local
  backends:
`
	for _, b := range backends {
		service, weight, _ := strings.Cut(b, ": ")
		text += fmt.Sprintf("  - {service: %s, weight: %s}\n", service, weight)
	}
	applyText(t, text)
}

// callers are ways to call a Service a few times; each answers which pods it met.
var callers = map[string]func(t *testing.T, client pod, service string) ([]string, error){
	"HTTP": func(t *testing.T, client pod, service string) ([]string, error) {
		s := client.load(t, "-url", "http://"+service+".split:14001/", "-count", "60", "-concurrency", "2")
		var met []string
		for v := range s.ByHeader {
			met = append(met, v)
		}
		return met, allAnswered(s)
	},
	"gRPC": func(t *testing.T, client pod, service string) ([]string, error) {
		return meetPods(t, client, "grpcget", service+".split:9002")
	},
	"TCP": func(t *testing.T, client pod, service string) ([]string, error) {
		return meetPods(t, client, "tcpget", "-quiet", "10ms", "-send", "", service+".split:9001")
	},
}

// meetPods runs an applet that prints pod=[NAME] several times.
func meetPods(t *testing.T, client pod, args ...string) ([]string, error) {
	t.Helper()
	out, code := client.meshtest(t, append([]string{"repeat", "-n", "30"}, args...)...)
	if code != 0 {
		return nil, fmt.Errorf("%v: exit %d: %s", args, code, out)
	}
	var met []string
	for _, m := range podName.FindAllStringSubmatch(out, -1) {
		met = append(met, m[1])
	}
	return met, nil
}

var podName = regexp.MustCompile(`pod=\[(\w+)\]`)

// wantPods calls until the pods met are exactly these.
func wantPods(t *testing.T, client pod, service string, want ...string) {
	t.Helper()
	for protocol, call := range callers {
		t.Run(protocol, func(t *testing.T) {
			eventually(t, 20*time.Second, func() error {
				met, err := call(t, client, service)
				slices.Sort(met)
				if met = slices.Compact(met); err == nil && !slices.Equal(met, want) {
					err = fmt.Errorf("calls of %s met the pods %v, want %v", service, met, want)
				}
				return err
			})
		})
	}
}

// A split spreads HTTP, gRPC and bytes over its backends as their weights say, in both modes, whatever accounts they run
// as; and each backend can still be called by its own name.
func TestTrafficSplit(t *testing.T) {
	closedMesh(t)
	startPods(t, "traffic-split.yaml", "split")
	client := pod{"split", "client", "app"}
	for mode, on := range map[string]bool{"SMI": false, "permissive": true} {
		t.Run(mode, func(t *testing.T) {
			permissive(t, on)
			splitApex(t, "v1: 50", "v2: 50")
			wantPods(t, client, "apex", "v1", "v2")
			t.Run("one account", func(t *testing.T) {
				splitApex(t, "v1: 50", "v3: 50")
				wantPods(t, client, "apex", "v1", "v3")
			})
			t.Run("weight 0", func(t *testing.T) {
				splitApex(t, "v1: 0", "v2: 100")
				wantPods(t, client, "apex", "v2")
			})
			t.Run("a backend by its own name", func(t *testing.T) { wantPods(t, client, "v1", "v1") })
		})
	}
	t.Run("deleted", func(t *testing.T) {
		kubectl(t, "delete", "trafficsplit", "apex", "-n", "split")
		wantPods(t, client, "apex", "v1", "v2", "v3")
	})
}
