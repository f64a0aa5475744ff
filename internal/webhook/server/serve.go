package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Limits of one connection. The API server keeps few connections and sends small messages over them.
const (
	headerTimeout    = 5 * time.Second
	readTimeout      = 15 * time.Second
	writeTimeout     = 30 * time.Second
	idleTimeout      = 2 * time.Minute
	maxHeaderBytes   = 16 << 10
	maxStreams       = 250
	shutdownPatience = 20 * time.Second
)

// GetCertificate returns the certificate to serve now; it is asked for every handshake, so a renewed one is used at once
// while connections made under the old one live on. certs.ServerCert has such a method.
type GetCertificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)

// Serve answers HTTPS on the listener until ctx ends and then lets the requests in flight finish.
func Serve(ctx context.Context, ln net.Listener, cert GetCertificate, log *slog.Logger, h http.Handler) error {
	s := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes,
		HTTP2:          &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		TLSConfig:      &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: cert},
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- s.ServeTLS(ln, "", "") }()
	select {
	case err := <-failed:
		return fmt.Errorf("webhook server on %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownPatience)
	defer cancel()
	if err := s.Shutdown(stop); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("webhook server on %s: stop: %w", ln.Addr(), err)
	}
	return nil
}
