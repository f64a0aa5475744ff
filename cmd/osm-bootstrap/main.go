// Command osm-bootstrap installs the mesh's custom resource definitions and makes its MeshConfig.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"openservicemesh.io/osm/internal/app/bootstrap"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	status := bootstrap.Main(ctx, os.Args[1:])
	stop()
	os.Exit(status)
}
