package pipeline

import (
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestRealSessionsAreResumed: most new connections between two sidecars cost no whole handshake.
func TestRealSessionsAreResumed(t *testing.T) {
	m := newRealMesh(t, true)
	greet(t, m.addr("127.0.0.1", "PORT_DB"))
	m.start(t, "shop.shop", "shop.shop.cluster.local")
	m.start(t, "client.client", "client.client.cluster.local")
	for range 10 {
		conn, err := net.Dial("tcp", m.addr("127.0.77.3", "PORT_DB"))
		require.NoError(t, err)
		require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
		_, err = conn.Read(make([]byte, 1))
		require.NoError(t, err)
		require.NoError(t, conn.Close())
	}
	resp, err := http.Get("http://" + m.admins["client.client"] + "/stats?filter=shop/db.*session_reused")
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	reused := regexp.MustCompile(`: (\d+)`).FindSubmatch(text)
	require.NotNil(t, reused, string(text))
	n, err := strconv.Atoi(string(reused[1]))
	require.NoError(t, err)
	require.GreaterOrEqual(t, n, 5, "of ten")
}
