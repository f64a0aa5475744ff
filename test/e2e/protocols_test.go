package e2e

import (
	"fmt"
	"testing"
)

// TestProtocols calls every kind of port and Service the way applications do, in both modes.
func TestProtocols(t *testing.T) {
	installedMesh(t)
	meshNamespaces(t, "proto-server", "proto-client")
	apply(t, "protocols.yaml")
	kubectl(t, "wait", "pod", "client", "-n", "proto-client", "--for=condition=Ready", "--timeout=60s")
	kubectl(t, "wait", "pod", "server", "-n", "proto-server", "--for=condition=Ready", "--timeout=60s")
	kubectl(t, "rollout", "status", "statefulset/set", "-n", "proto-server", "--timeout=60s")
	byHand(t)
	client := pod{"proto-client", "client", "client"}

	t.Run("permissive", func(t *testing.T) {
		permissive(t, true)
		everyProtocol(t, client)
		t.Run("undeclared, HTTP", func(t *testing.T) {
			client.want(t, 0, "Server: envoy", "get", "-fail", "http://plain.proto-server:7080/")
		})
		t.Run("undeclared, bytes", func(t *testing.T) { client.want(t, 0, "hello", "tcpget", "plain.proto-server:7000") })
		t.Run("undeclared, server first", func(t *testing.T) {
			client.want(t, 0, "welcome", "tcpget", "-send", "", "plain.proto-server:7001")
		})
	})
	t.Run("SMI without grants", func(t *testing.T) {
		permissive(t, false)
		for _, port := range []int{80, 9000, 9001} {
			client.want(t, 7, "", "tcpget", fmt.Sprintf("server.proto-server:%d", port))
		}
		client.want(t, 7, "", "tcpget", "set-0.set.proto-server:9001")
	})
	t.Run("SMI", func(t *testing.T) {
		permissive(t, false)
		apply(t, "protocols-policy.yaml")
		everyProtocol(t, client)
		t.Run("a port that no route names", func(t *testing.T) {
			kubectl(t, "delete", "tcproute", "greeting", "-n", "proto-server")
			// The client's sidecar still has the chain; the server's closes the connection.
			client.wantClosed(t, "tcpget", "-send", "", "server.proto-server:9001")
			client.want(t, 0, "hello", "tcpget", "server.proto-server:9000")
		})
	})
}

// byHand gives the Service without a selector an endpoint.
func byHand(t *testing.T) {
	t.Helper()
	ip := kubectl(t, "get", "pod", "server", "-n", "proto-server", "-o", "jsonpath={.status.podIP}")
	uid := kubectl(t, "get", "pod", "server", "-n", "proto-server", "-o", "jsonpath={.metadata.uid}")
	if out, err := kubectlStdin(t, fmt.Sprintf(`
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: byhand, namespace: proto-server, labels: {kubernetes.io/service-name: byhand}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints: [{addresses: [%q], targetRef: {kind: Pod, namespace: proto-server, name: server, uid: %q}}]
`, ip, uid), "apply", "-f", "-"); err != nil {
		t.Fatal(out)
	}
}

func everyProtocol(t *testing.T, client pod) {
	t.Helper()
	server, member := pod{"proto-server", "server", "web"}, pod{"proto-server", "set-1", "web"}
	for _, c := range []struct {
		name string
		from pod
		text string
		args []string
	}{
		{"named target port", client, `"pod":"server"`, []string{"get", "-fail", "http://server.proto-server/"}},
		{"second port", client, `"pod":"server"`, []string{"get", "-fail", "http://server.proto-server:81/"}},
		{"second Service of the pod", client, `"pod":"server"`, []string{"get", "-fail", "http://again.proto-server:8088/"}},
		{"Service without selector", client, `"pod":"server"`, []string{"get", "-fail", "http://byhand.proto-server:8090/"}},
		{"tcp", client, "hello", []string{"tcpget", "server.proto-server:9000"}},
		{"tcp of the second Service", client, "hello", []string{"tcpget", "again.proto-server:9100"}},
		{"tcp-server-first", client, "welcome", []string{"tcpget", "-send", "", "server.proto-server:9001"}},
		{"grpc", client, "SERVING pod=[server]", []string{"grpcget", "server.proto-server:9002"}},
		{"headless", client, `"pod":"set-`, []string{"get", "-fail", "http://set.proto-server:8080/"}},
		{"pod of a set, HTTP", client, `"pod":"set-1"`, []string{"get", "-fail", "http://set-1.set.proto-server:8080/"}},
		{"pod of a set, full name", client, `"pod":"set-0"`, []string{"get", "-fail", "http://set-0.set.proto-server.svc.cluster.local:8080/"}},
		{"pod of a set, server first", client, "I am set-0", []string{"tcpget", "-send", "", "set-0.set.proto-server:9001"}},
		{"other pod of a set, server first", client, "I am set-1", []string{"tcpget", "-send", "", "set-1.set.proto-server:9001"}},
		{"member to member", member, "I am set-0", []string{"tcpget", "-send", "", "set-0.set:9001"}},
		{"member to itself", member, "I am set-1", []string{"tcpget", "-send", "", "set-1.set:9001"}},
		{"itself through its Service", server, `"pod":"server"`, []string{"get", "-fail", "http://server.proto-server/"}},
		{"itself through its Service, tcp", server, "hello", []string{"tcpget", "server.proto-server:9000"}},
	} {
		t.Run(c.name, func(t *testing.T) { c.from.want(t, 0, c.text, c.args...) })
	}
}
