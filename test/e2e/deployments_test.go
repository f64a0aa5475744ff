package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestDeployments: every replica of a Deployment reaches every replica of another, through a Service and through a headless
// one, in both modes, and none does without a policy.
func TestDeployments(t *testing.T) {
	installedMesh(t)
	meshNamespaces(t, "deploy-server", "deploy-client")
	apply(t, "deployments.yaml")
	rollout(t, "deploy-server", "server")
	rollout(t, "deploy-client", "client")
	clients, servers := replicas(t, "deploy-client"), replicas(t, "deploy-server")
	if len(clients) != 2 || len(servers) != 2 {
		t.Fatalf("replicas: %v and %v, want two of each", clients, servers)
	}
	urls := []string{"http://server.deploy-server/", "http://headless.deploy-server:14001/"}
	each := func(t *testing.T, check func(t *testing.T, client pod, url string)) {
		t.Helper()
		for _, name := range clients {
			for _, url := range urls {
				check(t, pod{"deploy-client", name, "app"}, url)
			}
		}
	}
	t.Run("permissive", func(t *testing.T) {
		permissive(t, true)
		each(t, func(t *testing.T, client pod, url string) { reachesAll(t, client, url, servers) })
	})
	t.Run("no policy", func(t *testing.T) {
		permissive(t, false)
		each(t, func(t *testing.T, client pod, url string) { client.want(t, 7, "", "get", url) })
	})
	t.Run("policy", func(t *testing.T) {
		apply(t, "deployments-policy.yaml")
		each(t, func(t *testing.T, client pod, url string) { reachesAll(t, client, url, servers) })
	})
}

// replicas lists the pods of a namespace.
func replicas(t *testing.T, namespace string) []string {
	t.Helper()
	return strings.Fields(kubectl(t, "get", "pods", "-n", namespace, "-o", "jsonpath={.items[*].metadata.name}"))
}

// reachesAll calls until every server has answered.
func reachesAll(t *testing.T, client pod, url string, servers []string) {
	t.Helper()
	heard := map[string]bool{}
	eventually(t, 20*time.Second, func() error {
		out, code := client.meshtest(t, "get", "-fail", url)
		for _, s := range servers {
			if code == 0 && strings.Contains(out, s) {
				heard[s] = true
			}
		}
		if len(heard) < len(servers) {
			return fmt.Errorf("%s from %s: heard %v of %v, exit code %d\n%s", url, client, heard, servers, code, out)
		}
		return nil
	})
}
