// Command bookthief is the demonstration application that no policy should let in.
package main

import (
	"log/slog"
	"os"

	"openservicemesh.io/osm/demo/bookshop"
)

func main() {
	os.Exit(bookshop.Main("bookthief", func(c bookshop.Config, _ *slog.Logger) bookshop.App {
		thief := bookshop.NewThief(c, os.Stdout)
		return bookshop.App{Handler: thief.Handler(), Work: thief.Run}
	}))
}
