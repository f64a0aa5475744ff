// Command meshtest is the box of network programs that tests run in pods.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"openservicemesh.io/osm/demo/meshtest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	code := meshtest.Main(ctx)
	stop()
	os.Exit(code)
}
