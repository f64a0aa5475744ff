package obs

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"openservicemesh.io/osm/internal/version"
)

// Limits of every HTTP server of the control plane.
const (
	readTimeout     = 10 * time.Second
	writeTimeout    = 60 * time.Second
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 5 * time.Second
	maxHeaderBytes  = 16 << 10
)

// HealthOK is the body of a health page when all is well.
const HealthOK = "Health OK"

// Paths that all components serve.
const (
	PathMetrics = "/metrics"
	PathVersion = "/version"
	PathHealthz = "/healthz"
)

// healthPatience is for how long a question that comes before a program is well waits for it. It is shorter than the five seconds after
// which the chart's probes give up.
const (
	healthPatience = 3 * time.Second
	healthLook     = 10 * time.Millisecond
)

// Health answers 200 and HealthOK while check returns nil, else 503 and the error. A program that has never been well yet is about to
// be: whoever asks then is answered as soon as it is, for a kubelet that is told no comes back a second later.
func Health(check func() error) http.Handler {
	var been atomic.Bool
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := check()
		if err != nil && !been.Load() {
			err = await(r.Context(), check)
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(err.Error() + "\n"))
			return
		}
		been.Store(true)
		_, _ = w.Write([]byte(HealthOK))
	})
}

// await returns nil once check does, and otherwise what check says when patience or ctx ends.
func await(ctx context.Context, check func() error) error {
	ctx, cancel := context.WithTimeout(ctx, healthPatience)
	defer cancel()
	look := time.NewTicker(healthLook)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return check()
		case <-look.C:
			if check() == nil {
				return nil
			}
		}
	}
}

// Version answers with the build's version as JSON.
func Version() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(version.Get()) // the client went away
	})
}

// Mux routes /metrics, /version and the further paths given, each counted in osm_http_response_total and
// osm_http_response_duration. Other paths answer 404.
func (m *Metrics) Mux(paths map[string]http.Handler) *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle("GET "+PathMetrics, m.Instrument(PathMetrics, m.Handler()))
	mux.Handle("GET "+PathVersion, m.Instrument(PathVersion, Version()))
	for path, h := range paths {
		mux.Handle(path, m.Instrument(path, h))
	}
	return mux
}

// Instrument counts what h answers under the label path, which must not come from the request.
func (m *Metrics) Instrument(path string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start, rec := time.Now(), &statusRecorder{ResponseWriter: w, code: http.StatusOK}
		h.ServeHTTP(rec, r)
		labels := []string{strconv.Itoa(rec.code), methodLabel(r.Method), path}
		m.httpResponses.WithLabelValues(labels...).Inc()
		m.httpDuration.WithLabelValues(labels...).Observe(time.Since(start).Seconds())
	})
}

// methodLabel keeps invented methods from making new series.
func methodLabel(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}

type statusRecorder struct {
	http.ResponseWriter
	code int
}

// WriteHeader remembers the status.
func (r *statusRecorder) WriteHeader(code int) {
	r.code = code
	r.ResponseWriter.WriteHeader(code)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *statusRecorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// Serve answers on addr (":9091") until ctx ends, then finishes the requests under way. tlsConfig nil means plain HTTP.
// Every phase of a request has a time limit. Failing to listen is an error that names the address.
func Serve(ctx context.Context, addr string, h http.Handler, tlsConfig *tls.Config, log *slog.Logger) error {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return ServeOn(ctx, ln, h, tlsConfig, log)
}

// ServeOn is Serve on a listener that is open already; it closes it.
func ServeOn(ctx context.Context, ln net.Listener, h http.Handler, tlsConfig *tls.Config, log *slog.Logger) error {
	s := &http.Server{
		Handler: h, TLSConfig: tlsConfig,
		ReadHeaderTimeout: readTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() {
		if tlsConfig != nil {
			failed <- s.ServeTLS(ln, "", "")
			return
		}
		failed <- s.Serve(ln)
	}()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := s.Shutdown(grace); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return s.Close()
}
