package meshtest

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// callSpec is one call of the calls applet, a JSON object.
type callSpec struct {
	// Method and Headers are of an HTTP request.
	Method  string            `json:"method"`
	Headers map[string]string `json:"headers"`
	// URL is http://host:port/path, whose path is sent as it is written, or tcp://host:port.
	URL string `json:"url"`
}

// runCalls makes the calls whose JSON objects it is given as one argument, one after the other, and prints a line for each:
// "answered <status>", "connected", "refused", "reset", or another Kind.
func runCalls(ctx context.Context, env Env, args []string) int {
	fs := flag.NewFlagSet("calls", flag.ContinueOnError)
	timeout := fs.Duration("timeout", 3*time.Second, "how long one call may take")
	rest, code, ok := parse(env, fs, args, "CALLS")
	if !ok {
		return code
	}
	client := newClient(*timeout, false, 1)
	for d := json.NewDecoder(strings.NewReader(rest[0])); ; {
		var c callSpec
		if err := d.Decode(&c); errors.Is(err, io.EOF) {
			return exitOK
		} else if err != nil {
			return fail(env, err)
		}
		_, _ = fmt.Fprintln(env.Stdout, c.make(ctx, client, *timeout))
	}
}

func (c callSpec) make(ctx context.Context, client *http.Client, timeout time.Duration) string {
	if address, tcp := strings.CutPrefix(c.URL, "tcp://"); tcp {
		quiet := Env{Stdout: io.Discard, Stderr: io.Discard}
		switch runTCPGet(ctx, quiet, []string{"-timeout", timeout.String(), "-quiet", "10ms", address}) {
		case exitOK:
			return "connected"
		case KindRefused.ExitCode():
			return string(KindRefused)
		case KindReset.ExitCode(), KindEOF.ExitCode():
			return string(KindReset)
		}
		return string(KindOther)
	}
	host, path := c.URL, "/"
	if i := strings.Index(strings.TrimPrefix(c.URL, "http://"), "/"); i >= 0 {
		host, path = c.URL[:i+len("http://")], c.URL[i+len("http://"):]
	}
	h := http.Header{}
	for name, value := range c.Headers {
		h.Set(name, value)
	}
	req, err := newRequest(ctx, c.Method, host, "", h)
	if err != nil {
		return fmt.Sprintf("%s: %v", KindOther, err)
	}
	query := ""
	path, query, _ = strings.Cut(path, "?")
	req.URL = &url.URL{Scheme: "http", Host: req.URL.Host, Opaque: path, RawQuery: query}
	if strings.HasPrefix(path, "//") { // what follows would be taken for a host
		req.URL.Opaque = "http://" + req.Host + path
	}
	resp, err := client.Do(req)
	if err != nil {
		switch k := classify(err); k {
		case KindEOF:
			return string(KindReset)
		default:
			return string(k)
		}
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return fmt.Sprintf("answered %d", resp.StatusCode)
}
