package bookshop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// grace bounds how long requests in flight may take once the port is closed.
const grace = 10 * time.Second

// App is one application: what it serves, and what it does meanwhile.
type App struct {
	Handler http.Handler
	// Work runs beside the server until its context ends; nil means nothing.
	Work func(context.Context)
}

// Main reads the configuration from the environment, runs the application
// until SIGTERM or an interrupt, and answers the process's exit code.
func Main(name string, newApp func(Config, *slog.Logger) App) int {
	log := slog.New(slog.NewTextHandler(os.Stdout, nil)).With("app", name)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	c, err := ReadConfig(os.Getenv)
	if err != nil {
		log.Error("cannot start", "error", err)
		return 1
	}
	ln, err := net.Listen("tcp", c.Listen)
	if err != nil {
		log.Error("cannot listen: set LISTEN to a free address", "address", c.Listen, "error", err)
		return 1
	}
	log.Info("listening", "address", ln.Addr().String())
	if err := Serve(ctx, ln, newApp(c, log), c.Drain); err != nil {
		log.Error("stopped", "error", err)
		return 1
	}
	log.Info("stopped")
	return 0
}

// Serve serves app on ln until ctx ends. Then it reports itself unready,
// goes on serving for drain while callers hear of it, closes the port, and
// lets requests in flight finish. It adds two probe paths: /healthz answers
// 200 while the process lives, /readyz 503 once it is stopping.
func Serve(ctx context.Context, ln net.Listener, app App, drain time.Duration) error {
	var stopping atomic.Bool
	srv := &http.Server{Handler: withProbes(app.Handler, &stopping), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()

	workCtx, stopWork := context.WithCancel(ctx)
	var work sync.WaitGroup
	if app.Work != nil {
		work.Go(func() { app.Work(workCtx) })
	}
	defer work.Wait()
	defer stopWork()

	select {
	case err := <-failed:
		return fmt.Errorf("serving on %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	stopping.Store(true)
	time.Sleep(drain)
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := srv.Shutdown(end); err != nil {
		return fmt.Errorf("requests in flight did not finish within %s: %w", grace, err)
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func withProbes(next http.Handler, stopping *atomic.Bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if stopping.Load() {
			http.Error(w, "stopping", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.Handle("/", next)
	return mux
}
