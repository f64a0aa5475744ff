// Command bookstore is the demonstration application that sells books.
package main

import (
	"log/slog"
	"os"

	"openservicemesh.io/osm/demo/bookshop"
)

func main() {
	os.Exit(bookshop.Main("bookstore", func(c bookshop.Config, log *slog.Logger) bookshop.App {
		store := bookshop.NewStore(c, log)
		return bookshop.App{Handler: store.Handler(), Work: store.Run}
	}))
}
