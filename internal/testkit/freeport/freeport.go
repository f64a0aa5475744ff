// Package freeport finds TCP ports for servers that cannot be given port 0. Input: a test. Output: a port that nobody uses or gets
// while the test runs. It imports the standard library only.
package freeport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// Ports are drawn below Linux's ephemeral range (32768 and up, net.ipv4.ip_local_port_range), from which a connection that some
// other test makes would take them between the moment they are found free and the moment they are used.
const (
	lowest  = 17000
	highest = 31999
)

const tries = 200

// Get returns a free port. It stays reserved, against other tests of any process that use this package, until the test ends.
func Get(t testing.TB) uint16 {
	t.Helper()
	for range tries {
		port := uint16(lowest + rand.IntN(highest-lowest+1)) //nolint:gosec // a port, not a secret
		if reserve(t, port) {
			return port
		}
	}
	t.Fatalf("no free port from %d to %d in %d tries", lowest, highest, tries)
	return 0
}

// Address is Get on 127.0.0.1, as "host:port".
func Address(t testing.TB) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", Get(t))
}

// reserve takes the port's name among Linux's abstract sockets, which vanish with their process, and looks whether the port is
// free on every address.
func reserve(t testing.TB, port uint16) bool {
	t.Helper()
	name, err := net.Listen("unix", fmt.Sprintf("@osm-test-port-%d", port))
	if err != nil {
		return false
	}
	ln, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		_ = name.Close()
		return false
	}
	_ = ln.Close()
	t.Cleanup(func() { _ = name.Close() })
	return true
}
