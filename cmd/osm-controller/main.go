// Command osm-controller tells the proxies of a mesh what Kubernetes and its policies mean for them.
package main

import (
	"context"
	"os"

	"github.com/spf13/pflag"

	"openservicemesh.io/osm/internal/app/controller"
	"openservicemesh.io/osm/internal/app/process"
	"openservicemesh.io/osm/internal/obs"
)

func main() { process.Exit(run()) }

func run() error {
	var o controller.Options
	fs := pflag.NewFlagSet("osm-controller", pflag.ExitOnError)
	o.Bind(fs)
	if err := fs.Parse(os.Args[1:]); err != nil {
		return err
	}
	return process.Program{
		Name: "osm-controller", Verbosity: o.Verbosity, Check: o.Check,
		Run: func(ctx context.Context, l *obs.Logging, m *obs.Metrics) error { return controller.Run(ctx, o, l, m) },
	}.Start()
}
