package healthcheck

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEndsWithTheSidecar(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var seen atomic.Int32
	accepted, ended := make(chan struct{}), make(chan struct{})
	go func() {
		conn, err := ln.Accept()
		if err == nil {
			_ = conn.Close()
			close(accepted)
		}
	}()
	go func() {
		sidecarEnds(t.Context(), ln.Addr().String(), time.Millisecond, func() { seen.Add(1) })
		close(ended)
	}()
	<-accepted
	select {
	case <-ended:
		t.Fatal("ended while the sidecar was there")
	default:
	}
	require.NoError(t, ln.Close())
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("does not end")
	}
	require.EqualValues(t, 1, seen.Load())
}

func TestWaitsForASidecarThatIsStillToCome(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	sidecarEnds(ctx, "127.0.0.1:1", time.Millisecond, func() { t.Error("nobody is there") })
	require.Error(t, ctx.Err(), "it is not taken for gone before it was there")
}
