package bootstrap_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"openservicemesh.io/osm/internal/core/bootstrap"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/testkit/envoycheck"
	"openservicemesh.io/osm/internal/testkit/freeport"
)

func TestNoLimitNoOverloadManager(t *testing.T) {
	rootPEM, _ := mesh(t)
	text := render(t, config(rootPEM))
	require.NotContains(t, text, "overload")
}

// TestFullMemoryTurnsCallsAway: a real Envoy whose heap is larger than its limit turns calls away and answers probes; with
// room it does neither.
func TestFullMemoryTurnsCallsAway(t *testing.T) {
	for name, c := range map[string]struct {
		limit int64
		calls int
	}{"full": {2 << 20, 0}, "room": {512 << 20, 200}} {
		t.Run(name, func(t *testing.T) {
			rootPEM, serverTLS := mesh(t)
			ads := startADS(t, serverTLS)
			close(ads.release)
			cfg := config(rootPEM)
			cfg.ControllerHost, cfg.ControllerPort, cfg.MemoryLimit = "127.0.0.1", ads.port, c.limit
			ready, calls, admin := freeport.Get(t), freeport.Get(t), freeport.Get(t)
			text := withPorts(withOrdinaryListener(t, cfg, calls), kubeletVolume(t, "token"), ready, admin)
			runEnvoy(t, envoycheck.Binary(t), text, cfg)

			url := func(port uint16) string { return fmt.Sprintf("http://127.0.0.1:%d%s", port, names.PathSidecarReady) }
			require.Eventually(t, func() bool { return status(url(ready)) == 200 }, 10*time.Second, 20*time.Millisecond)
			require.Eventually(t, func() bool { return status(url(calls)) == c.calls }, 5*time.Second, 20*time.Millisecond)
			require.Equal(t, 200, status(url(ready)), "the kubelet's probe")
			stats := body(t, fmt.Sprintf("http://127.0.0.1:%d/stats?filter=overload.*stop_accepting_requests.active", admin))
			require.Equal(t, map[bool]string{true: "0", false: "1"}[c.calls == 200], strings.TrimSpace(stats[strings.LastIndex(stats, ":")+1:]), stats)
		})
	}
}

// withOrdinaryListener is a bootstrap with a second ready listener which, as those that the control plane sends, is
// subject to the overload manager.
func withOrdinaryListener(t *testing.T, c bootstrap.Config, port uint16) string {
	t.Helper()
	b := &bootstrapv3.Bootstrap{}
	require.NoError(t, protojson.Unmarshal([]byte(render(t, c)), b))
	ordinary := proto.CloneOf(b.StaticResources.Listeners[0])
	ordinary.Name, ordinary.BypassOverloadManager = "ordinary", false
	ordinary.Address.GetSocketAddress().PortSpecifier = &corev3.SocketAddress_PortValue{PortValue: uint32(port)}
	b.StaticResources.Listeners = append(b.StaticResources.Listeners, ordinary)
	text, err := bootstrap.Text(b)
	require.NoError(t, err)
	return text
}

// withPorts has a bootstrap read its token from dir and listen on ports that are free.
func withPorts(text, dir string, ready, admin uint16) string {
	port := func(n uint16) string { return "\"port_value\": " + strconv.Itoa(int(n)) }
	return strings.NewReplacer(names.BootstrapDir, dir, port(names.PortSidecarReady), port(ready), port(names.PortEnvoyAdmin), port(admin)).Replace(text)
}
