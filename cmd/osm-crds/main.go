// Command osm-crds takes what the control plane made at run time out of the cluster after an uninstallation, and puts the
// mesh's custom resource definitions back to how they should be.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"openservicemesh.io/osm/internal/app/crds"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	status := crds.Main(ctx, os.Args[1:])
	stop()
	os.Exit(status)
}
