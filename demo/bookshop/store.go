package bookshop

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strconv"
	"time"
)

// Store is bookstore: it sells books to whoever asks, and orders from the
// warehouse what it sold.
type Store struct {
	identity string
	ledger   *ledger
	restock  *restocker
}

// NewStore is a store that answers as c.Identity and restocks from
// c.WarehouseURL.
func NewStore(c Config, log *slog.Logger) *Store {
	return &Store{
		identity: c.Identity,
		ledger:   newLedger(time.Now),
		restock:  newRestocker(c, log),
	}
}

// Run orders from the warehouse until ctx ends.
func (s *Store) Run(ctx context.Context) { s.restock.run(ctx) }

// Handler serves the shop and its page. Every answer carries the headers
// Identity and Booksbought.
func (s *Store) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/books-bought", func(w http.ResponseWriter, _ *http.Request) { s.answer(w) })
	mux.HandleFunc("/buy-a-book/new", func(w http.ResponseWriter, r *http.Request) {
		s.ledger.record(customer(r), "bought a book", 1)
		s.restock.order(1)
		s.answer(w)
	})
	// Somebody brings a book to sell, so there is one less to order.
	mux.HandleFunc("/sell-a-book", func(w http.ResponseWriter, r *http.Request) {
		s.ledger.record(customer(r), "sold us a book", 0)
		s.restock.order(-1)
		s.answer(w)
	})
	view{
		headline: "books sold", names: "sold to", reset: s.ledger.reset,
		report: func() Report { return s.ledger.report("bookstore", s.identity) },
	}.register(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(headerIdentity, s.identity)
		w.Header().Set(headerBooksBought, strconv.Itoa(s.ledger.total()))
		mux.ServeHTTP(w, r)
	})
}

// answer counts again, so that a purchase shows in its own answer.
func (s *Store) answer(w http.ResponseWriter) {
	bought := s.ledger.total()
	w.Header().Set(headerBooksBought, strconv.Itoa(bought))
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(struct {
		Identity    string `json:"identity"`
		BooksBought int    `json:"booksBought"`
	}{s.identity, bought})
}

// customer is the name a caller gives itself. It is for show: who may call is
// the mesh's decision, taken on the caller's certificate.
func customer(r *http.Request) string {
	return or(r.Header.Get(headerClientApp), "unnamed customer")
}
