package bookshop

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Shopper is bookbuyer or bookthief: it looks at the store and takes a book,
// over and over.
type Shopper struct {
	name     string
	thief    bool
	storeURL string
	interval time.Duration
	client   *http.Client
	out      io.Writer
	ledger   *ledger
}

// NewBuyer is bookbuyer. It writes one block of lines per fetch to out.
func NewBuyer(c Config, out io.Writer) *Shopper {
	return newShopper("bookbuyer", false, c, out)
}

// NewThief is bookthief: the same requests as bookbuyer under another
// identity, which no policy should let through.
func NewThief(c Config, out io.Writer) *Shopper {
	return newShopper("bookthief", true, c, out)
}

func newShopper(name string, thief bool, c Config, out io.Writer) *Shopper {
	return &Shopper{
		name: name, thief: thief, storeURL: c.StoreURL, interval: c.Interval,
		client: newClient(c.Timeout), out: out, ledger: newLedger(time.Now),
	}
}

// Run shops until ctx ends. Looking and buying take turns, half an interval
// apart, so that each URL is fetched once per interval and a change of policy
// shows within half of one. A fetch under way when ctx ends still finishes.
func (s *Shopper) Run(ctx context.Context) {
	ticker := time.NewTicker(s.interval / 2)
	defer ticker.Stop()
	unbroken := context.WithoutCancel(ctx)
	for buy := false; ; buy = !buy {
		s.visit(unbroken, buy)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// visit fetches one of the two URLs.
func (s *Shopper) visit(ctx context.Context, buy bool) {
	path := "/books-bought"
	if buy {
		path = "/buy-a-book/new"
	}
	header := http.Header{headerClientApp: {s.name}}
	s.note(fetch(ctx, s.client, s.out, s.storeURL+path, header, s.praise(buy)), buy)
}

func (s *Shopper) praise(book bool) string {
	switch {
	case !s.thief:
		return success
	case book:
		return "BOOK STOLEN: nothing keeps bookthief out of the store"
	default:
		return "STORE OPEN: bookthief could look inside"
	}
}

// note keeps the outcome for the page, and for the thief says in the log what
// it means, because for the thief an error is the good news.
func (s *Shopper) note(got fetched, book bool) {
	switch {
	case !got.ok():
		s.ledger.failed(got.problem())
		if s.thief {
			_, _ = fmt.Fprintf(s.out, "SHUT OUT, as bookthief should be: no book stolen (%d stolen so far)\n", s.ledger.total())
		}
	case book && s.thief:
		s.ledger.record(or(got.identity, absent), "stole a book", 1)
	case book:
		s.ledger.record(or(got.identity, absent), "bought a book", 1)
	default:
		s.ledger.succeeded()
	}
}

// Handler serves the page at / and the same facts at /api/books.
func (s *Shopper) Handler() http.Handler {
	v := view{
		headline: "books bought", names: "bought from", reset: s.ledger.reset,
		report: func() Report { return s.ledger.report(s.name, "") },
	}
	if s.thief {
		v.headline, v.names = "books stolen", "stolen from"
	}
	mux := http.NewServeMux()
	v.register(mux)
	return mux
}
