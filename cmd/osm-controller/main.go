// Command osm-controller tells the proxies of a mesh what Kubernetes and its policies mean for them.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"

	"openservicemesh.io/osm/internal/app/controller"
	"openservicemesh.io/osm/internal/obs"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

func run() error {
	var o controller.Options
	fs := pflag.NewFlagSet("osm-controller", pflag.ExitOnError)
	o.Bind(fs)
	if err := fs.Parse(os.Args[1:]); err != nil {
		return err
	}
	metrics := obs.NewMetrics()
	logging, err := obs.Start(o.Verbosity, metrics.ErrorCode)
	if err != nil {
		return err
	}
	log := logging.Logger("osm-controller/main")
	if err := o.Check(); err != nil {
		log.Error("the program cannot start", "error", err)
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := controller.Run(ctx, o, logging, metrics); err != nil {
		log.Error("the program ends", "error", err)
		return err
	}
	return nil
}
