package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// logsMesh runs the echo server behind web and a gRPC server behind rpc, with a MeshConfig that says what is logged.
func logsMesh(t *testing.T, observability string) *realMesh {
	t.Helper()
	m := newRealMeshWith(t, true, `
---
apiVersion: config.openservicemesh.io/v1alpha2
kind: MeshConfig
metadata: {name: osm-mesh-config, namespace: osm-system}
spec:
  traffic: {enableEgress: false, enablePermissiveTrafficPolicyMode: true}
  observability: `+observability+"\n")
	applet(t, "echo", "PORT_WEB", m)
	l, err := net.Listen("tcp", m.addr("127.0.0.1", "PORT_RPC"))
	require.NoError(t, err)
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	m.start(t, "shop.shop", "shop.shop.cluster.local")
	m.start(t, "client.client", "client.client.cluster.local")
	return m
}

// logged returns, of each line that a sidecar logged about a call, what was asked and how it was answered.
func (m *realMesh) logged(t *testing.T, sidecar string) []string {
	t.Helper()
	text, err := os.ReadFile(m.logs[sidecar])
	require.NoError(t, err)
	var out []string
	for line := range strings.Lines(string(text)) {
		var l struct {
			Path string `json:"path"`
			Code int    `json:"response_code"`
		}
		if json.Unmarshal([]byte(line), &l) == nil && l.Path != "" {
			out = append(out, fmt.Sprint(l.Path, " ", l.Code))
		}
	}
	return out
}

// TestRealAccessLog: left alone, sidecars log what went wrong, gRPC errors too, and nothing of what went well.
func TestRealAccessLog(t *testing.T) {
	const check = "/grpc.health.v1.Health/Check 200"
	for name, c := range map[string]struct {
		observability string
		want          []string
	}{
		"default": {`{}`, []string{"/status/404 404", "/status/503 503", check}},
		"all":     {`{accessLog: All}`, []string{"/ok 200", "/status/404 404", "/status/503 503", check, check}},
		"off":     {`{accessLog: "Off"}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			m := logsMesh(t, c.observability)
			for _, path := range []string{"/ok", "/status/404", "/status/503"} {
				m.web(t, path)
			}
			conn, err := grpc.NewClient(m.addr("127.0.77.2", "PORT_RPC"), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("rpc.shop"))
			require.NoError(t, err)
			defer conn.Close()
			ask := grpc_health_v1.NewHealthClient(conn)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			_, err = ask.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
			require.NoError(t, err)
			_, err = ask.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: "unheard of"})
			require.Error(t, err)
			for _, sidecar := range []string{"client.client", "shop.shop"} {
				if len(c.want) > 0 {
					require.Eventually(t, func() bool { return len(m.logged(t, sidecar)) >= len(c.want) }, 20*time.Second, 50*time.Millisecond, sidecar)
				}
				require.Equal(t, c.want, m.logged(t, sidecar), sidecar)
			}
		})
	}
}
