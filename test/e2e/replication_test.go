package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestReplication runs a set whose members copy one of them by its own name, listen on their pod's address alone and declare
// nothing about their port, in a mesh that admits only what is granted.
func TestReplication(t *testing.T) {
	databasePrograms(t)
	installedMesh(t)
	meshConfig(t, `{"spec":{"sidecar":{"localProxyMode":"PodIP"},"traffic":{"enableEgress":false,"enablePermissiveTrafficPolicyMode":false}}}`)
	meshNamespaces(t, "repl-set")
	apply(t, "replication.yaml")
	kubectl(t, "rollout", "status", "statefulset/redis", "-n", "repl-set", "--timeout=60s")
	first, last := pod{"repl-set", "redis-0", "redis"}, pod{"repl-set", "redis-2", "redis"}
	at := func(host string, args ...string) []string {
		return append([]string{"redis-cli", "-h", host + ".redis"}, args...)
	}
	copied := func(t *testing.T, value string) {
		t.Helper()
		start := time.Now()
		first.prints(t, "connected_slaves:2", at("redis-0", "info", "replication")...)
		first.prints(t, "OK", at("redis-0", "set", "key", value)...)
		first.prints(t, "2", at("redis-0", "wait", "2", "5000")...)
		for _, member := range []string{"redis-1", "redis-2"} {
			first.prints(t, value, at(member, "get", "key")...)
			first.prints(t, "master_link_status:up", at(member, "info", "replication")...)
		}
		t.Logf("copied to both within %s", time.Since(start).Round(time.Millisecond))
	}
	t.Run("every member has what the first was given", func(t *testing.T) { copied(t, "one") })
	t.Run("a member calls itself by its own name", func(t *testing.T) { last.prints(t, "one", at("redis-2", "get", "key")...) })
	t.Run("a member that comes back elsewhere", func(t *testing.T) {
		before := kubectl(t, "get", "pod", "redis-2", "-n", "repl-set", "-o", "jsonpath={.metadata.uid}")
		kubectl(t, "delete", "pod", "redis-2", "-n", "repl-set", "--wait=false")
		eventually(t, 40*time.Second, func() error {
			out, err := mesh.Output(t.Context(), "kubectl", "get", "pod", "redis-2", "-n", "repl-set", "-o", `jsonpath={.metadata.uid} {.status.conditions[?(@.type=="Ready")].status}`)
			if err != nil || strings.HasPrefix(out, before) || !strings.HasSuffix(out, " True") {
				return fmt.Errorf("redis-2: %q %w", out, err)
			}
			return nil
		})
		copied(t, "two")
	})
	t.Run("nobody else is heard", func(t *testing.T) {
		kubectl(t, "delete", "traffictarget", "redis", "-n", "repl-set")
		first.fails(t, "two", at("redis-1", "get", "key")...)
	})
}
