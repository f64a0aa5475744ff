package bootstrap_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"openservicemesh.io/osm/internal/core/bootstrap"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/probe"
)

func config(rootPEM string, probes ...probe.Target) bootstrap.Config {
	return bootstrap.Config{
		NodeID: "b1b8a2a4-6c7e-4f0e-9f11-0c8b1f0f2f6d", NodeCluster: "bookstore-v1.bookstore",
		ControllerHost: "osm-controller.osm-system.svc.cluster.local", ControllerPort: names.PortADS,
		ControllerSAN: "ads.cluster.local", RootPEM: rootPEM,
		TLS:    bootstrap.TLSParams{MinVersion: "TLSv1_2", MaxVersion: "TLSv1_3"},
		Probes: probes,
	}
}

var allProbes = []probe.Target{
	{Kind: probe.Liveness, Container: "web", Mode: probe.HTTP, ListenPort: 15901, ListenPath: "/osm-liveness-probe/web", Port: 8080, Path: "/live?full=1", Timeout: 3 * time.Second},
	{Kind: probe.Liveness, Container: "web2", Mode: probe.HTTP, ListenPort: 15901, ListenPath: "/osm-liveness-probe/web2", Port: 8081, Path: "/", Timeout: time.Second},
	{Kind: probe.Liveness, Container: "tls", Mode: probe.TLS, ListenPort: 15901, Port: 8443, Timeout: time.Second},
	{Kind: probe.Liveness, Container: "tls2", Mode: probe.TLS, ListenPort: 15920, Port: 8444, Timeout: time.Second},
	{Kind: probe.Readiness, Container: "web", Mode: probe.HTTP, ListenPort: 15902, ListenPath: "/osm-readiness-probe/web", Port: 8080, Path: "/ready", Timeout: time.Second},
	{Kind: probe.Startup, Container: "tls", Mode: probe.TLS, ListenPort: 15903, Port: 8443, Timeout: time.Second},
}

func render(t *testing.T, c bootstrap.Config) string {
	t.Helper()
	b, err := bootstrap.Build(c)
	require.NoError(t, err)
	text, err := bootstrap.Text(b)
	require.NoError(t, err)
	return text
}

// renderYAML is the same as block YAML with sorted keys, which is easier to look into.
func renderYAML(t *testing.T, c bootstrap.Config) string {
	t.Helper()
	y, err := yaml.JSONToYAML([]byte(render(t, c)))
	require.NoError(t, err)
	return string(y)
}

func TestSameInputGivesSameBytes(t *testing.T) {
	c := config("root", allProbes...)
	first := render(t, c)
	for range 20 {
		require.Equal(t, first, render(t, c))
	}
}

func TestEmptyFieldsAreNamed(t *testing.T) {
	for _, tc := range []struct {
		name  string
		spoil func(*bootstrap.Config)
	}{
		{"node id", func(c *bootstrap.Config) { c.NodeID = "" }},
		{"node cluster", func(c *bootstrap.Config) { c.NodeCluster = "" }},
		{"controller host", func(c *bootstrap.Config) { c.ControllerHost = "" }},
		{"controller certificate name", func(c *bootstrap.Config) { c.ControllerSAN = "" }},
		{"mesh root certificate", func(c *bootstrap.Config) { c.RootPEM = "" }},
		{"controller port", func(c *bootstrap.Config) { c.ControllerPort = 0 }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := config("root")
			tc.spoil(&c)
			_, err := bootstrap.Build(c)
			require.ErrorContains(t, err, tc.name)
		})
	}
}

// Everything a sidecar serves on its own is matched exactly, after normalisation; a prefix match in front of an admin
// or application port has been a hole before.
func TestNoPrefixMatchAndEveryManagerHardened(t *testing.T) {
	y, _, _ := strings.Cut(renderYAML(t, config("root", allProbes...)), "\nstats_config:") // which matches names of counters
	require.NotRegexp(t, `(?m)^\s+(- )?prefix: `, y)
	require.NotContains(t, y, "safe_regex")
	require.NotContains(t, y, "path_separated_prefix")
	managers := strings.Count(y, "http_connection_manager.v3.HttpConnectionManager")
	require.Equal(t, 3, managers)
	for _, want := range []string{
		"normalize_path: true", "merge_slashes: true", "path_with_escaped_slashes_action: REJECT_REQUEST",
		"max_concurrent_streams: 100", "max_headers_count: 100", "max_request_headers_kb: 16", "internal_address_config: {}",
	} {
		require.Equal(t, managers, strings.Count(y, want), want)
	}
}

func TestAdminOnLoopbackOnlyAndNoSecretInside(t *testing.T) {
	y := renderYAML(t, config("root"))
	require.Contains(t, y, "admin:\n  address:\n    socket_address:\n      address: 127.0.0.1\n      port_value: 15000\n")
	require.NotContains(t, y, "private_key")
	require.Contains(t, y, "Bearer %FILE_CONTENT(/etc/envoy/token:/etc/envoy)%")
}

func TestDualStack(t *testing.T) {
	c := config("root", allProbes...)
	require.NotContains(t, renderYAML(t, c), "ipv4_compat")
	c.DualStack = true
	y := renderYAML(t, c)
	require.Equal(t, 5, strings.Count(y, "ipv4_compat: true"))
	require.NotContains(t, y, "0.0.0.0")
}
