package supervisor

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

// forward accepts on a socket of the machine's network (a socket stays where
// it was made) and connects to target in the cluster's.
func forward(l net.Listener, target string) {
	for {
		c, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			slog.Warn("accept on the machine's API port", "error", err)
			time.Sleep(100 * time.Millisecond) // out of files, for instance: let some close
			continue
		}
		go join(c, target)
	}
}

func join(c net.Conn, target string) {
	defer c.Close()
	up, err := net.DialTimeout("tcp", target, 5*time.Second)
	if err != nil {
		return // the client sees the connection closed, as with a server that is down
	}
	defer up.Close()
	var wg sync.WaitGroup
	wg.Go(func() { pipe(up, c) })
	wg.Go(func() { pipe(c, up) })
	wg.Wait()
}

// pipe copies one direction and hands on its end, so that half-closed
// connections keep working.
func pipe(dst, src net.Conn) {
	_, err := io.Copy(dst, src)
	if err != nil {
		dst.Close()
		src.Close()
		return
	}
	if t, ok := dst.(*net.TCPConn); ok {
		_ = t.CloseWrite()
	}
}
