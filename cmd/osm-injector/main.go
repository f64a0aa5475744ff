// Command osm-injector is the mutating webhook that adds the sidecar to pods.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	_ "github.com/KimMachineGun/automemlimit" // keep the heap within the container's memory limit
	"github.com/spf13/pflag"

	"openservicemesh.io/osm/internal/app/injector"
	"openservicemesh.io/osm/internal/obs"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

func run() error {
	var o injector.Options
	fs := pflag.NewFlagSet("osm-injector", pflag.ExitOnError)
	o.Bind(fs)
	if err := fs.Parse(os.Args[1:]); err != nil {
		return err
	}
	o.FromEnv(os.Getenv)
	injector.TuneMemory()
	metrics := obs.NewMetrics()
	logging, err := obs.Start(o.Verbosity, metrics.ErrorCode)
	if err != nil {
		return err
	}
	log := logging.Logger("osm-injector/main")
	if err := o.Check(); err != nil {
		log.Error("the program cannot start", "error", err)
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := injector.Run(ctx, o, logging, metrics); err != nil {
		log.Error("the program ends", "error", err)
		return err
	}
	return nil
}
