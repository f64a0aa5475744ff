// Command osm-preinstall checks, before an installation, that the cluster has room for the mesh.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"openservicemesh.io/osm/internal/app/preinstall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	status := preinstall.Main(ctx, os.Args[1:])
	stop()
	os.Exit(status)
}
