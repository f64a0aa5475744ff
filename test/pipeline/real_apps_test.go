package pipeline

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// seen is what an application was asked.
type seen struct {
	Proto, Method, Path, Host string
	Header                    http.Header
}

// serve runs an application that answers with what it was asked, over HTTP/1.1 and HTTP/2 without TLS. The path
// "/socket" upgrades and echoes; gRPC gets its trailer.
func serve(t *testing.T, addr string) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	require.NoError(t, err)
	s := &http.Server{Handler: http.HandlerFunc(answer), Protocols: &http.Protocols{}}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
}

func answer(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "websocket" {
		echoSocket(w)
		return
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
		w.Header().Set("Trailer", "Grpc-Status")
		w.Header().Set("Content-Type", "application/grpc")
		defer w.Header().Set("Grpc-Status", "0")
	}
	_ = json.NewEncoder(w).Encode(seen{Proto: r.Proto, Method: r.Method, Path: r.RequestURI, Host: r.Host, Header: r.Header})
}

func echoSocket(w http.ResponseWriter) {
	conn, buf, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	fmt.Fprint(buf, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	_ = buf.Flush()
	_, _ = io.Copy(conn, buf)
}

// serveTCP runs a TCP server until the test ends.
func serveTCP(t *testing.T, addr string, each func(net.Conn)) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				each(c)
			}()
		}
	}()
}

// greet runs a TCP server that speaks first and then echoes.
func greet(t *testing.T, addr string) {
	t.Helper()
	serveTCP(t, addr, func(c net.Conn) {
		fmt.Fprint(c, "hello\n")
		_, _ = io.Copy(c, c)
	})
}

// raw sends one HTTP/1.1 request as it is written and returns the status and, if the application answered, what it saw.
func raw(t *testing.T, addr, method, path, host string, headers ...string) (int, *seen) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	text := method + " " + path + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n"
	for _, h := range headers {
		text += h + "\r\n"
	}
	_, err = io.WriteString(conn, text+"\r\n")
	require.NoError(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err, "%s %s", method, path)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return resp.StatusCode, nil
	}
	return resp.StatusCode, decode(t, resp.Body)
}

func decode(t *testing.T, r io.Reader) *seen {
	t.Helper()
	out := &seen{}
	require.NoError(t, json.NewDecoder(r).Decode(out))
	return out
}

// h2c is a client that speaks HTTP/2 at once, without TLS, as gRPC does.
func h2c() *http.Client {
	tr := &http.Transport{Protocols: &http.Protocols{}}
	tr.Protocols.SetUnencryptedHTTP2(true)
	return &http.Client{Timeout: 10 * time.Second, Transport: tr}
}
