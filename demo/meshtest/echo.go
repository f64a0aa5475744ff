package meshtest

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxBody bounds what the echo server reads and, for /bytes/N, writes.
const maxBody = 64 << 20

// Echo is the JSON answer of the echo server.
type Echo struct {
	Method     string      `json:"method"`
	Path       string      `json:"path"`
	Query      string      `json:"query,omitempty"`
	Host       string      `json:"host"`
	Proto      string      `json:"proto"`
	Headers    http.Header `json:"headers"`
	RemoteAddr string      `json:"remoteAddr"`
	// LocalAddr is the address the connection arrived at.
	LocalAddr string `json:"localAddr"`
	BodyBytes int64  `json:"bodyBytes"`
	// Pod is the server's POD_NAME, or its host name.
	Pod      string `json:"pod"`
	Identity string `json:"identity,omitempty"`
}

func runEcho(ctx context.Context, env Env, args []string) int {
	fs := flag.NewFlagSet("echo", flag.ContinueOnError)
	ports := fs.String("ports", "8080", "ports to serve, separated by commas")
	address := fs.String("address", "", "address to serve on; empty means all")
	identity := fs.String("identity", env.Getenv("IDENTITY"), "value of the response header Identity")
	drain := fs.Duration("drain", time.Second, "how long to go on serving once stopped")
	if _, code, ok := parse(env, fs, args); !ok {
		return code
	}
	return listenAll(ctx, env, *address, *ports, func(ctx context.Context, ln net.Listener) error {
		return serveHTTP(ctx, ln, echoHandler(podName(env), *identity), *drain)
	})
}

func podName(env Env) string {
	if name := env.Getenv("POD_NAME"); name != "" {
		return name
	}
	name, _ := os.Hostname()
	return name
}

// listenAll opens every port before it serves any, prints where, and serves
// until ctx ends or one server fails.
func listenAll(ctx context.Context, env Env, address, ports string, serve func(context.Context, net.Listener) error) int {
	var listeners []net.Listener
	defer func() {
		for _, ln := range listeners {
			_ = ln.Close()
		}
	}()
	for port := range strings.SplitSeq(ports, ",") {
		ln, err := net.Listen("tcp", net.JoinHostPort(address, strings.TrimSpace(port)))
		if err != nil {
			return fail(env, err)
		}
		listeners = append(listeners, ln)
		_, _ = fmt.Fprintf(env.Stdout, "listening on %s\n", ln.Addr())
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(listeners))
	var wg sync.WaitGroup
	for i, ln := range listeners {
		wg.Go(func() {
			if errs[i] = serve(ctx, ln); errs[i] != nil {
				cancel()
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return fail(env, err)
	}
	return exitOK
}

func serveHTTP(ctx context.Context, ln net.Listener, h http.Handler, drain time.Duration) error {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, Protocols: &protocols}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	time.Sleep(drain)
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return srv.Shutdown(end)
}

// echoHandler answers every path with an Echo; /status/CODE sets the status,
// /delay/DURATION waits first, /bytes/N sends N bytes instead of JSON, /ws is a
// WebSocket that echoes, /upgrade echoes bytes after any other upgrade, and
// /close ends the connection without an answer.
func echoHandler(pod, identity string) http.Handler {
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, r *http.Request, status int) {
		n, _ := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxBody))
		local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		e := Echo{
			Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Host: r.Host, Proto: r.Proto, Headers: r.Header,
			RemoteAddr: r.RemoteAddr, BodyBytes: n, Pod: pod, Identity: identity,
		}
		if local != nil {
			e.LocalAddr = local.String()
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(e)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { answer(w, r, http.StatusOK) })
	mux.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		code, err := strconv.Atoi(r.PathValue("code"))
		if err != nil || code < 200 || code > 599 {
			http.Error(w, "want /status/200 to /status/599", http.StatusBadRequest)
			return
		}
		answer(w, r, code)
	})
	mux.HandleFunc("/delay/{duration}", func(w http.ResponseWriter, r *http.Request) {
		d, err := time.ParseDuration(r.PathValue("duration"))
		if err != nil || d < 0 || d > time.Hour {
			http.Error(w, "want a time such as /delay/500ms", http.StatusBadRequest)
			return
		}
		if pause(r.Context(), d) {
			answer(w, r, http.StatusOK)
		}
	})
	mux.HandleFunc("/bytes/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.ParseInt(r.PathValue("n"), 10, 64)
		if err != nil || n < 0 || n > maxBody {
			http.Error(w, fmt.Sprintf("want /bytes/0 to /bytes/%d", maxBody), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
		_, _ = io.CopyN(w, zeros{}, n)
	})
	mux.HandleFunc("/ws", echoMessages)
	mux.HandleFunc("/upgrade", echoUpgraded)
	mux.HandleFunc("/close", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if identity != "" {
			w.Header().Set("Identity", identity)
		}
		mux.ServeHTTP(w, r)
	})
}

// zeros is an endless stream of the character 0.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	return len(p), nil
}

func runTCPEcho(ctx context.Context, env Env, args []string) int {
	fs := flag.NewFlagSet("tcpecho", flag.ContinueOnError)
	ports := fs.String("ports", "9000", "ports to serve, separated by commas")
	address := fs.String("address", "", "address to serve on; empty means all")
	banner := fs.String("banner", "", "what to send first, as a server-first protocol does")
	if _, code, ok := parse(env, fs, args); !ok {
		return code
	}
	return listenAll(ctx, env, *address, *ports, func(ctx context.Context, ln net.Listener) error {
		return serveTCP(ctx, ln, *banner)
	})
}

func serveTCP(ctx context.Context, ln net.Listener, banner string) error {
	context.AfterFunc(ctx, func() { _ = ln.Close() })
	for {
		conn, err := ln.Accept()
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // the listener was closed because the server was told to end
		case err != nil:
			return err
		}
		go func() {
			defer func() { _ = conn.Close() }()
			defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
			if _, err := io.WriteString(conn, banner); err != nil {
				return
			}
			_, _ = io.Copy(conn, conn)
		}()
	}
}
