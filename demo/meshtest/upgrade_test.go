package meshtest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUpgrades(t *testing.T) {
	address := "http://" + startEcho(t)[0]
	for _, c := range []struct {
		name, path string
		args       []string
		code       int
		says       string
	}{
		{"WebSocket", "/ws", nil, 0, "echoed"},
		{"another", "/upgrade", []string{"-upgrade", "spdy/3.1"}, 0, "echoed"},
		{"no WebSocket", "/status/403", nil, 22, "answered 403"},
		{"no upgrade", "/", []string{"-upgrade", "tcp"}, 22, "answered 200"},
		{"nobody", "", nil, 7, "refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			url := address + c.path
			if c.path == "" {
				url = "http://127.0.0.1:1/ws"
			}
			code, out, errs := run(t.Context(), append(append([]string{"wsget"}, c.args...), url)...)
			require.Equal(t, c.code, code, errs)
			require.Contains(t, out+errs, c.says)
		})
	}
}

func TestGRPCOverTLS(t *testing.T) {
	address := start(t, map[string]string{"POD_NAME": "pod-7"}, "0", "grpcecho", "-tls")[0]
	code, out, errs := run(t.Context(), "grpcget", "-tls", address)
	require.Zero(t, code, errs)
	require.Contains(t, out, "SERVING pod=[pod-7]")
	code, _, _ = run(t.Context(), "grpcget", address)
	require.NotZero(t, code)
}
