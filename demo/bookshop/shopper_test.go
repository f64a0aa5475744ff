package bookshop

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func shopConfig(storeURL string) Config {
	return Config{StoreURL: storeURL, Interval: 20 * time.Millisecond, Timeout: time.Second, Identity: "bookstore-v1"}
}

// oneRound fetches both URLs once.
func oneRound(s *Shopper) {
	s.visit(context.Background(), false)
	s.visit(context.Background(), true)
}

func TestBuyerLogTellsTheWalkThrough(t *testing.T) {
	store := httptest.NewServer(NewStore(shopConfig("http://unused"), quiet()).Handler())
	defer store.Close()
	var log syncBuffer
	oneRound(NewBuyer(shopConfig(store.URL), &log))

	got := regexp.MustCompile(`(?m)^Date: \w{3}, .* GMT$`).ReplaceAllString(log.String(), "Date: <date>")
	want := strings.ReplaceAll(`
Fetching STORE/books-bought
Request headers:
Client-App: bookbuyer
Response headers:
Identity: bookstore-v1
Booksbought: 0
Server: n/a
Date: <date>
Status: 200 OK
MAESTRO! THIS TEST SUCCEEDED!

Fetching STORE/buy-a-book/new
Request headers:
Client-App: bookbuyer
Response headers:
Identity: bookstore-v1
Booksbought: 1
Server: n/a
Date: <date>
Status: 200 OK
MAESTRO! THIS TEST SUCCEEDED!
`, "STORE", store.URL)
	require.Equal(t, want, got)
}

func TestBuyerShowsTheProxyThatAnswered(t *testing.T) {
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Server", "envoy") }))
	defer store.Close()
	var log syncBuffer
	oneRound(NewBuyer(shopConfig(store.URL), &log))
	require.Contains(t, log.String(), "\nServer: envoy\n")
	require.NotContains(t, log.String(), "Server: n/a")
}

func TestShopperFailures(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	refused := "http://" + closed.Addr().String()
	forbidden := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	defer forbidden.Close()

	tests := map[string]struct {
		shopper func(Config, *syncBuffer) *Shopper
		url     string
		want    []string
	}{
		"nobody listens": {
			shopper: func(c Config, log *syncBuffer) *Shopper { return NewBuyer(c, log) }, url: refused,
			want: []string{
				"dial tcp " + closed.Addr().String() + ": connect: connection refused\n",
				`ERROR: response code for "` + refused + `/books-bought" is 0; expected 200` + "\n",
				`ERROR: response code for "` + refused + `/buy-a-book/new" is 0; expected 200` + "\n",
			},
		},
		"the mesh says no": {
			shopper: func(c Config, log *syncBuffer) *Shopper { return NewBuyer(c, log) }, url: forbidden.URL,
			want: []string{
				"Status: 403 Forbidden\n",
				`ERROR: response code for "` + forbidden.URL + `/books-bought" is 403; expected 200` + "\n",
			},
		},
		"the thief is glad to be refused on our behalf": {
			shopper: func(c Config, log *syncBuffer) *Shopper { return NewThief(c, log) }, url: refused,
			want: []string{
				"Client-App: bookthief\n",
				"SHUT OUT, as bookthief should be: no book stolen (0 stolen so far)\n",
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var log syncBuffer
			s := tt.shopper(shopConfig(tt.url), &log)
			oneRound(s)
			for _, line := range tt.want {
				require.Contains(t, log.String(), line)
			}
			require.NotContains(t, log.String(), success)
			report := getReport(t, s.Handler())
			require.Equal(t, 0, report.Books)
			require.Equal(t, 2, report.Failures)
			require.Contains(t, report.LastError, tt.url+"/buy-a-book/new")
		})
	}
}

func TestThiefCountsWhatItStole(t *testing.T) {
	store := httptest.NewServer(NewStore(shopConfig("http://unused"), quiet()).Handler())
	defer store.Close()
	var log syncBuffer
	thief := NewThief(shopConfig(store.URL), &log)
	oneRound(thief)
	oneRound(thief)
	report := getReport(t, thief.Handler())
	require.Equal(t, 2, report.Books)
	require.Equal(t, []Tally{{Name: "bookstore-v1", Books: 2}}, report.Tallies)
	require.Contains(t, log.String(), "BOOK STOLEN")
	require.NotContains(t, log.String(), success)
	require.Contains(t, getPage(t, thief.Handler()), "books stolen")
}

// A policy change must show in the next fetch, so no two fetches may share a
// connection.
func TestShopperOpensAConnectionPerFetch(t *testing.T) {
	ports := map[string]bool{}
	store := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { ports[r.RemoteAddr] = true }))
	defer store.Close()
	buyer := NewBuyer(shopConfig(store.URL), &syncBuffer{})
	for range 5 {
		oneRound(buyer)
	}
	require.Len(t, ports, 10)
}

func TestShopperRunTakesTurnsUntilStopped(t *testing.T) {
	paths := make(chan string, 100)
	store := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { paths <- r.URL.Path }))
	defer store.Close()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		NewBuyer(shopConfig(store.URL), &syncBuffer{}).Run(ctx)
		close(done)
	}()
	for _, want := range []string{"/books-bought", "/buy-a-book/new", "/books-bought", "/buy-a-book/new"} {
		require.Equal(t, want, <-paths)
	}
	cancel()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Fatal("Run did not end with its context")
	}
}
