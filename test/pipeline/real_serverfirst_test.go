package pipeline

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestRealServerFirstStrangers: a server that speaks first is not heard by a client of the mesh that has no grant.
func TestRealServerFirstStrangers(t *testing.T) {
	m := newRealMesh(t, false)
	greet(t, m.addr("127.0.0.1", "PORT_DB"))
	m.start(t, "shop.shop", "shop.shop.cluster.local")
	m.start(t, "client.client", "stranger.client.cluster.local")
	conn, err := net.Dial("tcp", m.addr("127.0.77.3", "PORT_DB"))
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	heard, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.Empty(t, heard)
}
