package meshtest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"
)

// Kind is how a call ended, in one word.
type Kind string

// The kinds of outcome. A response with any status is KindOK for get and
// watch; load calls a status outside 2xx and 3xx KindStatus.
const (
	KindOK      Kind = "ok"
	KindStatus  Kind = "status"
	KindDNS     Kind = "dns"
	KindRefused Kind = "refused"
	KindTimeout Kind = "timeout"
	KindEOF     Kind = "eof"
	KindReset   Kind = "reset"
	KindTLS     Kind = "tls"
	KindOther   Kind = "other"
)

// ExitCode is the exit code curl gives the same outcome.
func (k Kind) ExitCode() int {
	switch k {
	case KindOK:
		return exitOK
	case KindDNS:
		return 6
	case KindRefused:
		return 7
	case KindStatus:
		return 22
	case KindTimeout:
		return 28
	case KindTLS:
		return 35
	case KindEOF:
		return 52
	case KindReset:
		return 56
	default:
		return exitError
	}
}

// classify names the outcome that err stands for.
func classify(err error) Kind {
	var dns *net.DNSError
	var netErr net.Error
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var verify *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	switch {
	case err == nil:
		return KindOK
	case errors.As(err, &dns):
		return KindDNS
	case errors.Is(err, syscall.ECONNREFUSED):
		return KindRefused
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return KindTimeout
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return KindReset
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), strings.Contains(err.Error(), "server closed idle connection"):
		return KindEOF
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record), errors.As(err, &alert), errors.As(err, &verify), errors.As(err, &unknown):
		return KindTLS
	default:
		return KindOther
	}
}

// newClient is the HTTP client of the applets. Without keepalive every request
// opens a connection of its own.
func newClient(timeout time.Duration, keepalive bool, conns int) *http.Client {
	return &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			DisableKeepAlives:   !keepalive,
			MaxIdleConnsPerHost: conns,
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}, //nolint:gosec // a probe that looks at servers with any certificate
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// headerFlag collects repeated -H "Name: value".
type headerFlag struct{ h http.Header }

func (f *headerFlag) String() string { return "" }

func (f *headerFlag) Set(s string) error {
	name, value, found := strings.Cut(s, ":")
	if !found || strings.TrimSpace(name) == "" {
		return errors.New(`want "Name: value"`)
	}
	if f.h == nil {
		f.h = http.Header{}
	}
	f.h.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	return nil
}

// newRequest makes a request with the collected headers; a Host header
// replaces the authority, as with curl.
func newRequest(ctx context.Context, method, url, body string, h http.Header) (*http.Request, error) {
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, r)
	if err != nil {
		return nil, err
	}
	for name, values := range h {
		req.Header[name] = values
	}
	if host := h.Get("Host"); host != "" {
		req.Host = host
	}
	return req, nil
}
