package meshtest

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// runGet makes one request and prints status line, headers and body. Like
// curl it exits 0 for any status unless -fail is set.
func runGet(ctx context.Context, env Env, args []string) int {
	fs := flag.NewFlagSet("get", flag.ContinueOnError)
	method := fs.String("X", http.MethodGet, "method")
	body := fs.String("d", "", "request body")
	timeout := fs.Duration("timeout", 5*time.Second, "how long all may take")
	failOnStatus := fs.Bool("fail", false, "exit 22 for a status of 400 and above")
	var header headerFlag
	fs.Var(&header, "H", `request header "Name: value", may be repeated`)
	rest, code, ok := parse(env, fs, args, "URL")
	if !ok {
		return code
	}
	req, err := newRequest(ctx, *method, rest[0], *body, header.h)
	if err != nil {
		return fail(env, err)
	}
	resp, err := newClient(*timeout, false, 1).Do(req)
	if err != nil {
		return report(env, err)
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = fmt.Fprintf(env.Stdout, "%s %s\n", resp.Proto, resp.Status)
	_ = resp.Header.Write(env.Stdout)
	_, _ = fmt.Fprintln(env.Stdout)
	if _, err := io.Copy(env.Stdout, resp.Body); err != nil {
		return report(env, err)
	}
	if *failOnStatus && resp.StatusCode >= http.StatusBadRequest {
		return KindStatus.ExitCode()
	}
	return exitOK
}

// report says how a call failed and answers the exit code.
func report(env Env, err error) int {
	kind := classify(err)
	_, _ = fmt.Fprintf(env.Stderr, "%s: %v\n", kind, err)
	return kind.ExitCode()
}

// runTCPGet sends one line and prints what comes back until the server closes
// or falls silent for -quiet.
func runTCPGet(ctx context.Context, env Env, args []string) int {
	fs := flag.NewFlagSet("tcpget", flag.ContinueOnError)
	send := fs.String("send", "hello\n", "what to send; empty sends nothing and waits for the server to speak first")
	timeout := fs.Duration("timeout", 5*time.Second, "how long connecting and the first byte may take")
	quiet := fs.Duration("quiet", 200*time.Millisecond, "end after the server was silent this long")
	rest, code, ok := parse(env, fs, args, "HOST:PORT")
	if !ok {
		return code
	}
	conn, err := (&net.Dialer{Timeout: *timeout}).DialContext(ctx, "tcp", rest[0])
	if err != nil {
		return report(env, err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, *send); err != nil {
		return report(env, err)
	}
	wait, got := *timeout, 0
	buf := make([]byte, 32<<10)
	for {
		_ = conn.SetReadDeadline(time.Now().Add(wait))
		n, err := conn.Read(buf)
		_, _ = env.Stdout.Write(buf[:n])
		got += n
		switch kind := classify(err); {
		case err == nil:
			wait = *quiet
		case got > 0 && (kind == KindTimeout || kind == KindEOF):
			return exitOK
		default:
			return report(env, err)
		}
	}
}
