package bookshop

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// maxOrder is the most books one order may ask for.
const maxOrder = 1_000_000

// Warehouse is bookwarehouse: it delivers books to stores.
type Warehouse struct{ ledger *ledger }

// NewWarehouse is a warehouse that has delivered nothing yet.
func NewWarehouse() *Warehouse { return &Warehouse{ledger: newLedger(time.Now)} }

// Handler serves orders at /restock-books (one book, or ?books=N) and the
// page at /.
func (h *Warehouse) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/restock-books", h.deliver)
	view{
		headline: "books delivered", names: "delivered to", reset: h.ledger.reset,
		report: func() Report { return h.ledger.report("bookwarehouse", "") },
	}.register(mux)
	return mux
}

func (h *Warehouse) deliver(w http.ResponseWriter, r *http.Request) {
	books := 1
	if value := r.URL.Query().Get("books"); value != "" {
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > maxOrder {
			http.Error(w, fmt.Sprintf("query parameter books is %q: order between 1 and %d", value, maxOrder), http.StatusBadRequest)
			return
		}
		books = n
	}
	total := h.ledger.record(or(r.Header.Get(headerIdentity), customer(r)), fmt.Sprintf("ordered %d", books), books)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(struct {
		Delivered int `json:"delivered"`
		Total     int `json:"total"`
	}{books, total})
}
