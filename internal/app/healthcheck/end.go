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

// sidecarEnds returns once something accepted connections on an address and does not any more, or when ctx ends. It calls
// seen, once, when something accepted for the first time.
func sidecarEnds(ctx context.Context, address string, poll time.Duration, seen func()) {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	was, gone := false, 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", address)
		if err == nil {
			_ = conn.Close()
			if !was {
				seen()
			}
			was, gone = true, 0
			continue
		}
		if gone++; was && gone >= endAfter {
			return
		}
	}
}
