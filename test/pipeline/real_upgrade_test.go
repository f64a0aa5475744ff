package pipeline

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestRealUpgradeTimeouts: a connection that was upgraded outlives the time that a request and its answer may take, and ends
// once nothing was heard for the idle time.
func TestRealUpgradeTimeouts(t *testing.T) {
	m := limitedMesh(t, webSetting+`  connectionSettings:
    http: {requestTimeout: 500ms, idleTimeout: 2s}
`)
	code, _ := m.timed(t, "/delay/60s")
	require.Equal(t, 504, code, "the request timeout is in force")

	conn, err := net.Dial("tcp", m.addr("127.0.77.1", "PORT_WEB"))
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	fmt.Fprint(conn, "GET /upgrade HTTP/1.1\r\nHost: web.shop\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)

	got := make([]byte, 4)
	for i := range 4 {
		// Together longer than either time; each pause is longer than the request timeout and shorter than the idle time.
		time.Sleep(700 * time.Millisecond)
		fmt.Fprint(conn, "ping")
		_, err = io.ReadFull(r, got)
		require.NoError(t, err, "after %d exchanges", i)
		require.Equal(t, "ping", string(got))
	}
	cluster := fmt.Sprintf("cluster.shop/web|%d.", m.ports["PORT_WEB"])
	require.Equal(t, 1, m.counter(t, "client.client", cluster+"upstream_rq_timeout"), "that of the slow request alone")

	start := time.Now()
	_, err = r.ReadByte()
	require.Error(t, err, "nothing was said, so the proxy ends it")
	require.Less(t, time.Since(start), 20*time.Second)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "not this test's own deadline")
}
