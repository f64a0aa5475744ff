package meshtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// output may be written by an applet while a test reads it.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// run runs an applet to its end.
func run(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, errs output
	code = Run(ctx, Env{Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }}, args)
	return code, out.String(), errs.String()
}

// start runs a server applet on free ports of the loopback and answers its
// addresses. It is stopped, and must end with 0, at the end of the test.
func start(t *testing.T, env map[string]string, ports string, args ...string) []string {
	t.Helper()
	var out, errs output
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan int, 1)
	go func() {
		done <- Run(ctx, Env{Stdout: &out, Stderr: &errs, Getenv: func(k string) string { return env[k] }},
			append(args, "-address", "127.0.0.1", "-ports", ports))
	}()
	t.Cleanup(func() {
		cancel()
		require.Equal(t, 0, <-done, errs.String())
	})
	var addresses []string
	require.Eventually(t, func() bool {
		addresses = nil
		for line := range strings.Lines(out.String()) {
			addresses = append(addresses, strings.TrimSpace(strings.TrimPrefix(line, "listening on ")))
		}
		return len(addresses) == strings.Count(ports, ",")+1
	}, 5*time.Second, time.Millisecond)
	return addresses
}

func startEcho(t *testing.T) []string {
	t.Helper()
	return start(t, map[string]string{"POD_NAME": "pod-7", "IDENTITY": "v9"}, "0,0", "echo", "-drain", "1ms")
}

// rawServer answers every connection with what behave does to it.
func rawServer(t *testing.T, behave func(*net.TCPConn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go behave(conn.(*net.TCPConn))
		}
	}()
	return ln.Addr().String()
}

func closedPort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	return ln.Addr().String()
}

func TestUsage(t *testing.T) {
	for name, tt := range map[string]struct {
		args   []string
		code   int
		stderr string
	}{
		"no applet":       {nil, 2, "Usage: osm-meshtest APPLET"},
		"unknown applet":  {[]string{"fly"}, 2, `there is no applet "fly"`},
		"unknown flag":    {[]string{"get", "-nope"}, 2, "flag provided but not defined"},
		"no URL":          {[]string{"get"}, 2, "want 1 arguments after the flags [URL]"},
		"help":            {[]string{"get", "-h"}, 0, "request header"},
		"load for ever":   {[]string{"load", "-url", "http://127.0.0.1:1"}, 2, "-count or -duration above 0"},
		"watch nothing":   {[]string{"watch"}, 2, "want -url"},
		"bad expression":  {[]string{"watch", "-url", "http://127.0.0.1:1", "-until", "("}, 1, "-until"},
		"bad header":      {[]string{"get", "-H", "nocolon", "http://127.0.0.1:1"}, 2, `want "Name: value"`},
		"busy echo port":  {[]string{"echo", "-ports", "http-alt-no-such"}, 1, "unknown port"},
		"sleep ends":      {[]string{"sleep", "-duration", "1ms"}, 0, ""},
		"repeat ends":     {[]string{"repeat", "-n", "2", "get", "-h"}, 0, "Usage of get:"},
		"repeat fails":    {[]string{"repeat", "-n", "2", "get"}, 2, "want 1 arguments"},
		"repeat itself":   {[]string{"repeat", "repeat", "sleep"}, 2, "want another applet"},
		"bad request URL": {[]string{"load", "-url", "http://%zz", "-count", "1"}, 1, "invalid URL escape"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, stderr := run(context.Background(), tt.args...)
			require.Equal(t, tt.code, code, stderr)
			require.Contains(t, stderr, tt.stderr)
		})
	}
}

func TestEchoAnswersWithTheRequest(t *testing.T) {
	addresses := startEcho(t)
	for _, address := range addresses {
		code, stdout, stderr := run(context.Background(), "get", "-X", "POST", "-d", "12345", "-H", "X-One: 1", "-H", "X-One: 2", "-H", "Host: other.example",
			"http://"+address+"/a/b?c=d")
		require.Equal(t, 0, code, stderr)
		head, body, found := strings.Cut(stdout, "\r\n\n")
		require.True(t, found, stdout)
		require.True(t, strings.HasPrefix(head, "HTTP/1.1 200 OK\n"), head)
		require.Contains(t, stdout, "Identity: v9\r\n")
		var got Echo
		require.NoError(t, json.Unmarshal([]byte(body), &got))
		require.Equal(t, []string{"1", "2"}, got.Headers["X-One"])
		got.Headers, got.RemoteAddr = nil, ""
		require.Equal(t, Echo{
			Method: "POST", Path: "/a/b", Query: "c=d", Host: "other.example", Proto: "HTTP/1.1",
			LocalAddr: address, BodyBytes: 5, Pod: "pod-7", Identity: "v9",
		}, got)
	}
}

func TestEchoPaths(t *testing.T) {
	base := "http://" + startEcho(t)[0]
	for path, want := range map[string]int{
		"/status/503": 503, "/status/200": 200, "/status/999": 400, "/status/x": 400,
		"/delay/1ms": 200, "/delay/x": 400, "/bytes/10": 200, "/bytes/-1": 400, "/anything/else": 200,
	} {
		resp, err := http.Get(base + path) //nolint:noctx // a test against the loopback
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		_ = resp.Body.Close()
		require.Equal(t, want, resp.StatusCode, path)
		if path == "/bytes/10" {
			require.Equal(t, "0000000000", string(body))
		}
	}
}

func TestEchoSpeaksH2C(t *testing.T) {
	address := startEcho(t)[0]
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	resp, err := (&http.Client{Transport: &http.Transport{Protocols: &p}}).Get("http://" + address + "/") //nolint:noctx // loopback
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	require.Equal(t, "HTTP/2.0", resp.Proto)
}

func TestGetExitsLikeCurl(t *testing.T) {
	echo := "http://" + startEcho(t)[0]
	reset := rawServer(t, func(c *net.TCPConn) {
		_, _ = c.Read(make([]byte, 1))
		_ = c.SetLinger(0)
		_ = c.Close()
	})
	empty := rawServer(t, func(c *net.TCPConn) {
		_, _ = c.Read(make([]byte, 4096))
		_ = c.Close()
	})
	silent := rawServer(t, func(c *net.TCPConn) {
		_, _ = io.Copy(io.Discard, c)
		_ = c.Close()
	})
	plain := strings.TrimPrefix(echo, "http://")
	for name, tt := range map[string]struct {
		args []string
		code int
		kind string
	}{
		"any status is fine":       {[]string{echo + "/status/503"}, 0, ""},
		"unless told otherwise":    {[]string{"-fail", echo + "/status/503"}, 22, ""},
		"refused":                  {[]string{"http://" + closedPort(t)}, 7, "refused: "},
		"reset":                    {[]string{"http://" + reset}, 56, "reset: "},
		"empty reply":              {[]string{"http://" + empty}, 52, "eof: "},
		"empty reply from echo":    {[]string{echo + "/close"}, 52, "eof: "},
		"timeout":                  {[]string{"-timeout", "50ms", "http://" + silent}, 28, "timeout: "},
		"no TLS on the other side": {[]string{"https://" + plain}, 35, "tls: "},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, stderr := run(context.Background(), append([]string{"get"}, tt.args...)...)
			require.Equal(t, tt.code, code, stderr)
			require.True(t, strings.HasPrefix(stderr, tt.kind), stderr)
		})
	}
}

func TestClassifyNamesLookupFailures(t *testing.T) {
	require.Equal(t, KindDNS, classify(&net.OpError{Op: "dial", Err: &net.DNSError{Name: "nowhere", IsTimeout: true}}))
	require.Equal(t, 6, KindDNS.ExitCode())
	require.Equal(t, KindOther, classify(net.ErrClosed))
	require.Equal(t, 1, KindOther.ExitCode())
}

func TestTCP(t *testing.T) {
	plain := start(t, nil, "0", "tcpecho")[0]
	banner := start(t, nil, "0", "tcpecho", "-banner", "220 ready\n")[0]
	for name, tt := range map[string]struct {
		args   []string
		code   int
		stdout string
	}{
		"echoes":       {[]string{"-send", "ping\n", plain}, 0, "ping\n"},
		"speaks first": {[]string{"-send", "", banner}, 0, "220 ready\n"},
		"refused":      {[]string{closedPort(t)}, 7, ""},
		"says nothing": {[]string{"-send", "", "-timeout", "50ms", plain}, 28, ""},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := run(context.Background(), append([]string{"tcpget", "-quiet", "50ms"}, tt.args...)...)
			require.Equal(t, tt.code, code, stderr)
			require.Equal(t, tt.stdout, stdout)
		})
	}
}

func TestGRPC(t *testing.T) {
	address := start(t, map[string]string{"POD_NAME": "pod-8"}, "0", "grpcecho")[0]
	code, stdout, stderr := run(context.Background(), "grpcget", address)
	require.Equal(t, 0, code, stderr)
	require.Equal(t, "SERVING pod=[pod-8] peer="+address+"\n", stdout)

	code, _, stderr = run(context.Background(), "grpcget", "-service", "unknown", address)
	require.Equal(t, 22, code)
	require.Contains(t, stderr, "NotFound")

	code, _, stderr = run(context.Background(), "grpcget", closedPort(t))
	require.Equal(t, 7, code, stderr)
}

func TestLoadCounts(t *testing.T) {
	var mu sync.Mutex
	n, ports := 0, map[string]bool{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		n++
		ports[r.RemoteAddr] = true
		switch {
		case n%10 == 0:
			w.WriteHeader(http.StatusServiceUnavailable)
		case n%4 == 0:
			w.Header().Set("Identity", "bookstore-v1")
		default:
			w.Header().Set("Identity", "bookstore-v2")
		}
	}))
	defer srv.Close()
	load := func(args ...string) (int, Summary) {
		code, stdout, stderr := run(context.Background(), append([]string{"load", "-url", srv.URL}, args...)...)
		var s Summary
		require.NoError(t, json.Unmarshal([]byte(stdout), &s), stderr)
		return code, s
	}
	code, s := load("-count", "200", "-rate", "0", "-concurrency", "3", "-keepalive=false")
	require.Equal(t, 0, code)
	require.Equal(t, int64(200), s.Requests)
	require.Equal(t, int64(180), s.OK)
	require.Equal(t, int64(20), s.Failed)
	require.Equal(t, map[string]int64{"200": 180, "503": 20}, s.Statuses)
	require.Equal(t, map[string]int64{"": 20, "bookstore-v1": 40, "bookstore-v2": 140}, s.ByHeader)
	require.Equal(t, map[Kind]int64{KindStatus: 20}, s.Errors)
	require.LessOrEqual(t, s.LatencyMicros["p50"], s.LatencyMicros["p99"])
	require.Positive(t, s.LatencyMicros["p50"])
	require.Len(t, ports, 200, "without keepalive each request has its own connection")

	clear(ports)
	code, _ = load("-count", "100", "-rate", "0", "-concurrency", "2", "-must-succeed")
	require.Equal(t, 1, code)
	// One for each worker, and now and then one that was dialled while the worker's own was just coming back.
	require.Less(t, len(ports), 20, "with keepalive connections are used again")
}

func TestLoadNamesErrors(t *testing.T) {
	code, stdout, stderr := run(context.Background(), "load", "-url", "http://"+closedPort(t), "-count", "5", "-rate", "0")
	require.Equal(t, 0, code, stderr)
	var s Summary
	require.NoError(t, json.Unmarshal([]byte(stdout), &s))
	require.Equal(t, map[Kind]int64{KindRefused: 5}, s.Errors)
	require.Len(t, s.ErrorTexts, 1)
	require.Zero(t, s.OK)
}

func TestLoadKeepsItsRateAndEnds(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	began := time.Now()
	s := generate(context.Background(), loadPlan{url: srv.URL, method: "GET", rate: 100, duration: 500 * time.Millisecond, timeout: time.Second, workers: 2})
	require.Less(t, time.Since(began), 5*time.Second)
	require.InDelta(t, 50, s.Requests, 10)
}

func TestMaxGapSeesAnOutage(t *testing.T) {
	base := time.Now().Add(-time.Second)
	tot := newTotals(base)
	tot.add(200, "", time.Millisecond, nil)
	s := tot.summary("", time.Now())
	require.InDelta(t, 1000, s.MaxGapMillis, 200, "from the start to the first success")
}

func TestHistogramQuantiles(t *testing.T) {
	var h histogram
	require.Zero(t, h.quantile(0.5))
	for i := 1; i <= 1000; i++ {
		h.add(time.Duration(i) * time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{0.5: 500 * time.Millisecond, 0.9: 900 * time.Millisecond, 0.99: 990 * time.Millisecond, 1: time.Second} {
		require.InEpsilon(t, float64(want), float64(h.quantile(q)), 0.011, "quantile %v", q)
	}
	h.add(100 * time.Hour)
	require.Equal(t, 100*time.Hour, h.max)
}

func TestWatchPrintsChangesAlone(t *testing.T) {
	var mu sync.Mutex
	n := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		n++
		switch {
		case n <= 3:
			w.Header().Set("Identity", "bookstore-v1")
		case n <= 5:
			panic(http.ErrAbortHandler)
		default:
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer srv.Close()
	code, stdout, stderr := run(context.Background(), "watch", "-url", srv.URL, "-interval", "1ms", "-until", "^403")
	require.Equal(t, 0, code, stderr)
	stamp := regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z `)
	require.Len(t, stamp.FindAllString(stdout, -1), 3)
	require.Equal(t, "200 identity=bookstore-v1 after 0\neof after 3\n403 after 2\n", stamp.ReplaceAllString(stdout, ""))

	code, _, _ = run(context.Background(), "watch", "-url", srv.URL, "-interval", "1ms", "-duration", "20ms", "-until", "^200")
	require.Equal(t, 1, code, "-duration ended before -until")
}

// Calls are made in order, their paths are sent as they are written, and each end has its line.
func TestCalls(t *testing.T) {
	var mu sync.Mutex
	var paths []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		paths = append(paths, r.RequestURI)
		mu.Unlock()
		if r.Header.Get("X-No") != "" {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer srv.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	list := fmt.Sprintf(`{"method":"GET","url":"%[1]s/a/../b%%2fc?q=1"}{"method":"GET","url":"%[1]s//x"}{"method":"POST","url":"%[1]s/no","headers":{"X-No":"1"}}{"method":"GET","url":"http://%[2]s/"}{"url":"tcp://%[2]s"}`,
		srv.URL, closed.Addr())
	code, out, stderr := run(t.Context(), "calls", list)
	require.Equal(t, 0, code, stderr)
	require.Equal(t, "answered 200\nanswered 200\nanswered 403\nrefused\nrefused\n", out)
	require.Equal(t, []string{"/a/../b%2fc?q=1", "http://" + srv.Listener.Addr().String() + "//x", "/no"}, paths)
	code, _, stderr = run(t.Context(), "calls", "{")
	require.Equal(t, 1, code)
	require.NotEmpty(t, stderr)
}
