// Command osm-injector is the mutating webhook that adds the sidecar to pods.
package main

import (
	"context"
	"os"

	_ "github.com/KimMachineGun/automemlimit" // keep the heap within the container's memory limit
	"github.com/spf13/pflag"

	"openservicemesh.io/osm/internal/app/injector"
	"openservicemesh.io/osm/internal/app/process"
	"openservicemesh.io/osm/internal/obs"
)

func main() { process.Exit(run()) }

func run() error {
	var o injector.Options
	fs := pflag.NewFlagSet("osm-injector", pflag.ExitOnError)
	o.Bind(fs)
	if err := fs.Parse(os.Args[1:]); err != nil {
		return err
	}
	o.FromEnv(os.Getenv)
	injector.TuneMemory()
	return process.Program{
		Name: "osm-injector", Verbosity: o.Verbosity, Check: o.Check,
		Run: func(ctx context.Context, l *obs.Logging, m *obs.Metrics) error { return injector.Run(ctx, o, l, m) },
	}.Start()
}
