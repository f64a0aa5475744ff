package e2e

import "testing"

// A caller needs no Service of its own, and an application may listen on its pod's address alone (localProxyMode PodIP),
// behind a Service or a headless one.
func TestConnectivity(t *testing.T) {
	closedMesh(t)
	meshConfig(t, `{"spec":{"sidecar":{"localProxyMode":"PodIP"}}}`)
	startPods(t, "connectivity.yaml", "connect")
	callers := []pod{{"connect", "with", "app"}, {"connect", "without", "app"}}
	urls := []string{"http://server.connect:14001/", "http://headless.connect:14001/", "http://server.connect.svc.cluster.local:14001/"}
	ip := kubectl(t, "get", "pod", "server", "-n", "connect", "-o", "jsonpath={.status.podIP}")
	for _, caller := range callers {
		for _, url := range urls {
			t.Run(caller.name+" "+url, func(t *testing.T) { caller.want(t, 0, `"localAddr":"`+ip+`:14001"`, "get", "-fail", url) })
		}
	}
	t.Run("target deleted", func(t *testing.T) {
		kubectl(t, "delete", "traffictarget", "--all", "-n", "connect")
		for _, caller := range callers {
			for _, url := range urls {
				caller.want(t, 7, "", "get", url)
			}
		}
	})
}
