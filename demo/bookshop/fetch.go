package bookshop

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Header names of the book trade, in canonical form.
const (
	headerClientApp   = "Client-App"
	headerIdentity    = "Identity"
	headerBooksBought = "Booksbought"
)

// absent is shown for a response header that is not there; "Server: n/a" is
// how a reader sees that no proxy stands in between.
const absent = "n/a"

// success is the line that ends a fetch that went well.
const success = "MAESTRO! THIS TEST SUCCEEDED!"

// newClient is an HTTP client whose every request opens its own connection,
// so that the very next request shows what a policy change made of it: a kept
// connection would show the past.
func newClient(timeout time.Duration) *http.Client {
	return &http.Client{
		Timeout:       timeout,
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// fetched is how one GET ended.
type fetched struct {
	url string
	// status is 0 when there was no response.
	status   int
	identity string
	err      error
}

func (f fetched) ok() bool { return f.status == http.StatusOK }

// problem says in one line why the fetch did not go well.
func (f fetched) problem() string {
	s := fmt.Sprintf("response code for %q is %d; expected %d", f.url, f.status, http.StatusOK)
	if f.err != nil {
		s += ": " + f.err.Error()
	}
	return s
}

// fetch GETs url with the given request headers and writes what it sent and
// saw to out. The lines of one fetch reach out in one write, so that fetches
// never mix.
func fetch(ctx context.Context, client *http.Client, out io.Writer, url string, header http.Header, praise string) fetched {
	var log strings.Builder
	defer func() { _, _ = io.WriteString(out, log.String()) }()
	result := fetched{url: url}

	fmt.Fprintf(&log, "\nFetching %s\nRequest headers:\n", url)
	for _, name := range slices.Sorted(maps.Keys(header)) {
		fmt.Fprintf(&log, "%s: %s\n", name, strings.Join(header[name], ", "))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		result.err = err
	} else {
		req.Header = header.Clone()
		result = send(client, req, &log)
	}
	if result.err != nil {
		fmt.Fprintf(&log, "Error fetching %s: %v\n", url, result.err)
	}
	if result.ok() {
		fmt.Fprintln(&log, praise)
	} else {
		fmt.Fprintf(&log, "ERROR: response code for %q is %d; expected %d\n", url, result.status, http.StatusOK)
	}
	return result
}

func send(client *http.Client, req *http.Request, log io.Writer) fetched {
	result := fetched{url: req.URL.String()}
	resp, err := client.Do(req)
	if err != nil {
		result.err = err
		return result
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = fmt.Fprintln(log, "Response headers:")
	for _, name := range []string{headerIdentity, headerBooksBought, "Server", "Date"} {
		_, _ = fmt.Fprintf(log, "%s: %s\n", name, or(resp.Header.Get(name), absent))
	}
	_, _ = fmt.Fprintf(log, "Status: %s\n", resp.Status)
	result.status = resp.StatusCode
	result.identity = resp.Header.Get(headerIdentity)
	// A body that breaks off is a failed fetch, whatever the status said.
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20)); err != nil {
		result.err, result.status = err, 0
	}
	return result
}
