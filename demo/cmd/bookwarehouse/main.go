// Command bookwarehouse is the demonstration application that delivers books to stores.
package main

import (
	"log/slog"
	"os"

	"openservicemesh.io/osm/demo/bookshop"
)

func main() {
	os.Exit(bookshop.Main("bookwarehouse", func(_ bookshop.Config, _ *slog.Logger) bookshop.App {
		return bookshop.App{Handler: bookshop.NewWarehouse().Handler()}
	}))
}
