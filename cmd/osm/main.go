// Command osm installs and manages Open Service Mesh; see internal/cli.
package main

import (
	"os"

	"openservicemesh.io/osm/internal/cli"
)

func main() { os.Exit(cli.Main()) }
