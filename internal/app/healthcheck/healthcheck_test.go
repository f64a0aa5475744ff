package healthcheck

import (
	"log/slog"
	"net"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

func listen(t *testing.T, host string) uint16 {
	t.Helper()
	ln, err := net.Listen("tcp", host+":0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = ln.Close() })
	return uint16(ln.Addr().(*net.TCPAddr).Port)
}

func TestHandler(t *testing.T) {
	open, other, secret := listen(t, "127.0.0.1"), listen(t, "127.0.0.9"), listen(t, "127.0.0.1")
	closed := listen(t, "127.0.0.8") // nothing on the loopback's first address or the pod's
	h := Handler(Config{Ports: []uint16{open, other, closed}, PodIP: netip.MustParseAddr("127.0.0.9"), Log: slog.New(slog.DiscardHandler)}, func() bool { return false })
	str := func(p uint16) string { return strconv.Itoa(int(p)) }
	for name, tc := range map[string]struct {
		path    string
		headers []string
		want    int
	}{
		"open":               {"/osm-healthcheck", []string{str(open)}, 200},
		"on the pod's IP":    {"/osm-healthcheck", []string{str(other)}, 200},
		"closed":             {"/osm-healthcheck", []string{str(closed)}, 404},
		"open, not probed":   {"/osm-healthcheck", []string{str(secret)}, 404},
		"no header":          {"/osm-healthcheck", nil, 400},
		"two headers":        {"/osm-healthcheck", []string{str(open), str(open)}, 400},
		"no number":          {"/osm-healthcheck", []string{"http"}, 400},
		"zero":               {"/osm-healthcheck", []string{"0"}, 400},
		"too large":          {"/osm-healthcheck", []string{"65536"}, 400},
		"list":               {"/osm-healthcheck", []string{str(open) + "," + str(open)}, 400},
		"another path":       {"/", []string{str(open)}, 404},
		"no sidecar seen":    {"/ready", nil, 503},
		"a path that begins": {"/osm-healthcheck/x", []string{str(open)}, 404},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("GET", tc.path, nil)
			for _, v := range tc.headers {
				r.Header.Add("Original-Tcp-Port", v)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			require.Equal(t, tc.want, w.Code)
		})
	}
}

func TestReadyOnceTheSidecarWasSeen(t *testing.T) {
	var seen atomic.Bool
	h := Handler(Config{}, seen.Load)
	for _, want := range []int{503, 200} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/ready", nil))
		require.Equal(t, want, w.Code)
		seen.Store(true)
	}
}

func TestFromEnv(t *testing.T) {
	env := func(m map[string]string) func(string) string { return func(k string) string { return m[k] } }
	c, err := FromEnv(env(map[string]string{EnvPorts: "3306, 80", EnvPodIP: "10.0.0.1"}), nil)
	require.NoError(t, err)
	require.Equal(t, []uint16{3306, 80}, c.Ports)
	require.Equal(t, netip.MustParseAddr("10.0.0.1"), c.PodIP)
	for want, m := range map[string]map[string]string{
		`OSM_HEALTHCHECK_PORTS: ""`:  {},
		`OSM_HEALTHCHECK_PORTS: "x"`: {EnvPorts: "80,x"},
		`POD_IP: "here"`:             {EnvPorts: "80", EnvPodIP: "here"},
	} {
		_, err := FromEnv(env(m), nil)
		require.ErrorContains(t, err, want)
	}
}
