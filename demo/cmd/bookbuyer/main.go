// Command bookbuyer is the demonstration application that buys books.
package main

import (
	"log/slog"
	"os"

	"openservicemesh.io/osm/demo/bookshop"
)

func main() {
	os.Exit(bookshop.Main("bookbuyer", func(c bookshop.Config, _ *slog.Logger) bookshop.App {
		buyer := bookshop.NewBuyer(c, os.Stdout)
		return bookshop.App{Handler: buyer.Handler(), Work: buyer.Run}
	}))
}
