// Command osm-healthcheck answers the rewritten TCP probes of an injected pod.
package main

import (
	"context"
	"flag"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"openservicemesh.io/osm/internal/app/healthcheck"
)

func main() {
	verbosity := flag.String("verbosity", "info", "log level: error, warn, info, debug or trace")
	flag.Parse()
	level := slog.LevelInfo
	switch *verbosity {
	case "disabled", "panic", "fatal", "error":
		level = slog.LevelError
	case "warn":
		level = slog.LevelWarn
	case "debug", "trace":
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{Level: level}))
	if err := run(log); err != nil {
		log.Error("TCP probes cannot be answered", "error", err)
		os.Exit(1)
	}
}

func run(log *slog.Logger) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	c, err := healthcheck.FromEnv(os.Getenv, log)
	if err != nil {
		return err
	}
	return healthcheck.Run(ctx, c)
}
