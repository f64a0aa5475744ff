package meshtest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// bigMessage is longer than one WebSocket frame header of two lengths and than any buffer on the way.
const bigMessage = 256 << 10

var anyOrigin = websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}

// echoMessages answers a WebSocket's messages with themselves until the client closes it.
func echoMessages(w http.ResponseWriter, r *http.Request) {
	conn, err := anyOrigin.Upgrade(w, r, nil)
	if err != nil {
		return // it has been answered
	}
	defer func() { _ = conn.Close() }()
	for {
		kind, message, err := conn.ReadMessage()
		if err != nil || conn.WriteMessage(kind, message) != nil {
			return
		}
	}
}

// echoUpgraded switches to whatever protocol is asked for and sends back what it gets.
func echoUpgraded(w http.ResponseWriter, r *http.Request) {
	protocol := r.Header.Get("Upgrade")
	if protocol == "" {
		http.Error(w, "want an Upgrade header", http.StatusUpgradeRequired)
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer func() { _ = conn.Close() }()
	_, _ = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", protocol)
	_, _ = io.Copy(conn, buffered)
}

// runWSGet exchanges messages with an echoing WebSocket, or bytes after another upgrade.
func runWSGet(ctx context.Context, env Env, args []string) int {
	fs := flag.NewFlagSet("wsget", flag.ContinueOnError)
	timeout := fs.Duration("timeout", 5*time.Second, "how long all may take")
	messages := fs.Int("messages", 3, "short messages before a long one")
	protocol := fs.String("upgrade", "", "send bytes after an upgrade to this protocol instead of WebSocket messages")
	rest, code, ok := parse(env, fs, args, "URL")
	if !ok {
		return code
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	exchange := func() error { return exchangeMessages(ctx, rest[0], *messages) }
	if *protocol != "" {
		exchange = func() error { return exchangeBytes(ctx, rest[0], *protocol) }
	}
	err := exchange()
	var status statusError
	switch {
	case errors.As(err, &status):
		_, _ = fmt.Fprintf(env.Stderr, "%s: %v\n", KindStatus, err)
		return KindStatus.ExitCode()
	case err != nil:
		return report(env, err)
	}
	_, _ = fmt.Fprintf(env.Stdout, "echoed %s\n", rest[0])
	return exitOK
}

// statusError is an answer that is no 101.
type statusError int

func (s statusError) Error() string { return fmt.Sprintf("answered %d", int(s)) }

func exchangeMessages(ctx context.Context, address string, short int) error {
	conn, resp, err := websocket.DefaultDialer.DialContext(ctx, "ws"+strings.TrimPrefix(address, "http"), nil) //nolint:bodyclose // "no need", its documentation says
	if err != nil {
		if resp != nil {
			return statusError(resp.StatusCode)
		}
		return err
	}
	defer func() { _ = conn.Close() }()
	deadline, _ := ctx.Deadline()
	_ = conn.SetReadDeadline(deadline)
	sent := make([][]byte, 0, short+1)
	for i := range short {
		sent = append(sent, fmt.Appendf(nil, "message %d", i))
	}
	for _, want := range append(sent, bytes.Repeat([]byte("x"), bigMessage)) {
		if err := conn.WriteMessage(websocket.BinaryMessage, want); err != nil {
			return err
		}
		_, got, err := conn.ReadMessage()
		switch {
		case err != nil:
			return err
		case !bytes.Equal(got, want):
			return fmt.Errorf("%d bytes came back for %d, or others", len(got), len(want))
		}
	}
	return conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), deadline)
}

func exchangeBytes(ctx context.Context, address, protocol string) error {
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", u.RequestURI(), u.Host, protocol); err != nil {
		return err
	}
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		_ = resp.Body.Close()
		return statusError(resp.StatusCode)
	}
	const said = "these are no requests any more\n"
	if _, err := io.WriteString(conn, said); err != nil {
		return err
	}
	heard := make([]byte, len(said))
	if _, err := io.ReadFull(in, heard); err != nil {
		return err
	}
	if string(heard) != said {
		return fmt.Errorf("heard %q", heard)
	}
	return nil
}
