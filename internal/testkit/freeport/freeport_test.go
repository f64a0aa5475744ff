package freeport

import (
	"fmt"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGet(t *testing.T) {
	seen := map[uint16]bool{}
	for range 100 {
		p := Get(t)
		require.False(t, seen[p])
		seen[p] = true
	}
	port := Get(t)
	require.False(t, reserve(t, port), "a reserved port is not given again")
	ln, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
	require.NoError(t, err)
	require.NoError(t, ln.Close())
}

func TestUsedPortIsPassedOver(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = ln.Close() }()
	require.False(t, reserve(t, uint16(ln.Addr().(*net.TCPAddr).Port)))
}
