package bootstrap

import (
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/stretchr/testify/require"
)

// What the injector is built with refuses what Envoy would refuse.
func TestValidatesFields(t *testing.T) {
	require.ErrorContains(t, validate(&corev3.SocketAddress{}), "invalid SocketAddress.Address")
	require.NoError(t, validate(&corev3.SocketAddress{Address: "127.0.0.1", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 1}}))
}
