package bookshop

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// restocker orders sold books from the warehouse in the background: a sale
// never waits for it, and orders that pile up while the warehouse cannot be
// reached go out together as one.
type restocker struct {
	url      string
	identity string
	pause    time.Duration
	client   *http.Client
	log      *slog.Logger
	wake     chan struct{}

	mu   sync.Mutex
	owed int
}

func newRestocker(c Config, log *slog.Logger) *restocker {
	return &restocker{
		url: c.WarehouseURL + "/restock-books", identity: c.Identity, pause: c.Interval,
		client: newClient(c.Timeout), log: log, wake: make(chan struct{}, 1),
	}
}

// order asks for n more books; a negative n takes back what is not sent yet.
func (r *restocker) order(n int) {
	r.mu.Lock()
	r.owed = max(0, r.owed+n)
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *restocker) pending() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.owed
}

func (r *restocker) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		}
		for n := r.pending(); n > 0 && ctx.Err() == nil; n = r.pending() {
			if err := r.send(ctx, n); err != nil {
				if ctx.Err() != nil {
					return
				}
				r.log.Error("restocking failed, trying again", "url", r.url, "books", n, "error", err)
				sleep(ctx, r.pause)
				continue
			}
			r.order(-n)
			r.log.Info("restocked", "url", r.url, "books", n)
		}
	}
}

func (r *restocker) send(ctx context.Context, books int) error {
	target := r.url + "?" + url.Values{"books": {strconv.Itoa(books)}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, nil)
	if err != nil {
		return err
	}
	req.Header.Set(headerClientApp, "bookstore")
	req.Header.Set(headerIdentity, r.identity)
	resp, err := r.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("bookwarehouse answered %s", resp.Status)
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
