package bookshop

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func serve(t *testing.T, h http.Handler, method, path string, header ...string) *http.Response {
	t.Helper()
	req := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w.Result()
}

func getReport(t *testing.T, h http.Handler) Report {
	t.Helper()
	resp := serve(t, h, http.MethodGet, "/api/books")
	require.Equal(t, http.StatusOK, resp.StatusCode)
	var r Report
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&r))
	return r
}

func getPage(t *testing.T, h http.Handler) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "text/html; charset=utf-8", w.Header().Get("Content-Type"))
	return w.Body.String()
}

func TestStoreAnswers(t *testing.T) {
	h := NewStore(Config{Identity: "bookstore-v2", WarehouseURL: "http://unused"}, quiet()).Handler()
	steps := []struct {
		path   string
		status int
		bought string
	}{
		{"/books-bought", http.StatusOK, "0"},
		{"/buy-a-book/new", http.StatusOK, "1"},
		{"/buy-a-book/new", http.StatusOK, "2"},
		{"/sell-a-book", http.StatusOK, "2"},
		{"/books-bought", http.StatusOK, "2"},
		{"/api/books", http.StatusOK, "2"},
		{"/no-such-page", http.StatusNotFound, "2"},
		{"/", http.StatusOK, "2"},
		{"/reset", http.StatusSeeOther, "2"},
		{"/books-bought", http.StatusOK, "0"},
	}
	for i, step := range steps {
		resp := serve(t, h, http.MethodGet, step.path)
		require.Equal(t, step.status, resp.StatusCode, "step %d %s", i, step.path)
		require.Equal(t, "bookstore-v2", resp.Header.Get("Identity"), "step %d %s", i, step.path)
		require.Equal(t, step.bought, resp.Header.Get("Booksbought"), "step %d %s", i, step.path)
		require.Empty(t, resp.Header.Get("Server"), "the log's Server: n/a rests on this")
	}
}

func TestStorePageShowsWhoBought(t *testing.T) {
	h := NewStore(Config{Identity: "bookstore-v1", WarehouseURL: "http://unused"}, quiet()).Handler()
	serve(t, h, http.MethodGet, "/buy-a-book/new", "Client-App", "bookbuyer")
	serve(t, h, http.MethodGet, "/buy-a-book/new", "Client-App", "<script>alert(1)</script>")
	serve(t, h, http.MethodGet, "/buy-a-book/new")
	require.Equal(t, []Tally{{"<script>alert(1)</script>", 1}, {"bookbuyer", 1}, {"unnamed customer", 1}}, getReport(t, h).Tallies)
	body := getPage(t, h)
	require.Contains(t, body, "<title>bookstore (bookstore-v1): 3 books sold</title>")
	require.Contains(t, body, "<td>bookbuyer</td>")
	require.Contains(t, body, `http-equiv="refresh"`)
	require.NotContains(t, body, "<script>")
	for _, external := range []string{"src=", "href=", "url("} {
		require.NotContains(t, body, external, "the page must need no other file")
	}
}

func TestLedgerStaysSmall(t *testing.T) {
	l := newLedger(time.Now)
	for i := range 10 * maxNames {
		l.record(fmt.Sprintf("name-%04d-%s", i, strings.Repeat("x", 1000)), "bought", 1)
	}
	r := l.report("app", "")
	require.Equal(t, 10*maxNames, r.Books)
	require.Len(t, r.Tallies, maxNames+1)
	require.Contains(t, r.Tallies, Tally{otherNames, 9 * maxNames})
	require.Len(t, r.Recent, recentEntries)
	require.Len(t, r.Tallies[0].Name, maxNameLen)
}

func TestWarehouseDelivers(t *testing.T) {
	tests := map[string]struct {
		path, body string
		status     int
	}{
		"one book":      {"/restock-books", `{"delivered":1,"total":1}`, http.StatusOK},
		"several":       {"/restock-books?books=12", `{"delivered":12,"total":12}`, http.StatusOK},
		"none":          {"/restock-books?books=0", `query parameter books is "0": order between 1 and 1000000`, http.StatusBadRequest},
		"not a number":  {"/restock-books?books=x", `query parameter books is "x": order between 1 and 1000000`, http.StatusBadRequest},
		"far too many":  {"/restock-books?books=1000001", `query parameter books is "1000001": order between 1 and 1000000`, http.StatusBadRequest},
		"another place": {"/elsewhere", "404 page not found", http.StatusNotFound},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			NewWarehouse().Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, tt.path, nil))
			require.Equal(t, tt.status, w.Code)
			require.Equal(t, tt.body, strings.TrimSpace(w.Body.String()))
		})
	}
}

// Books sold while the warehouse is out of reach are delivered once it is
// back, and no sale waits for it.
func TestStoreRestocksWhenTheWarehouseIsBack(t *testing.T) {
	warehouse := NewWarehouse()
	var open atomic.Bool
	var refused atomic.Int32
	door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !open.Load() {
			refused.Add(1)
			w.WriteHeader(http.StatusForbidden)
			return
		}
		warehouse.Handler().ServeHTTP(w, r)
	}))
	defer door.Close()
	store := NewStore(Config{Identity: "bookstore-v1", WarehouseURL: door.URL, Interval: 5 * time.Millisecond, Timeout: time.Second}, quiet())
	go store.Run(t.Context())
	for range 7 {
		require.Equal(t, http.StatusOK, serve(t, store.Handler(), http.MethodGet, "/buy-a-book/new").StatusCode)
	}
	serve(t, store.Handler(), http.MethodGet, "/sell-a-book")
	require.Eventually(t, func() bool { return refused.Load() > 1 }, 5*time.Second, time.Millisecond)
	require.Equal(t, 0, getReport(t, warehouse.Handler()).Books)
	open.Store(true)
	require.Eventually(t, func() bool { return store.restock.pending() == 0 }, 5*time.Second, time.Millisecond)
	report := getReport(t, warehouse.Handler())
	require.Equal(t, []Tally{{Name: "bookstore-v1", Books: 6}}, report.Tallies)
}
