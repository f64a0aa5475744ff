package healthcheck

import (
	"context"
	"net"
	"time"
)

const (
	endPoll  = 500 * time.Millisecond
	endAfter = 3 // polls in a row that find nobody
)

// sidecarEnds returns once something accepted connections on an address and does not any more, or when ctx ends.
func sidecarEnds(ctx context.Context, address string, poll time.Duration) {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	seen, gone := false, 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", address)
		if err == nil {
			_ = conn.Close()
			seen, gone = true, 0
			continue
		}
		if gone++; seen && gone >= endAfter {
			return
		}
	}
}
