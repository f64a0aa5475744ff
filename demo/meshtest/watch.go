package meshtest

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"time"
)

// runWatch polls a URL over a new connection each time and prints
// "TIME OUTCOME after N" whenever the outcome differs from the one before:
// TIME is when the first request with that outcome *began*, in UTC to the
// microsecond, OUTCOME is a status or a Kind, with the Identity header when
// there is one, and N counts the polls of the outcome that just ended.
func runWatch(ctx context.Context, env Env, args []string) int {
	fs := flag.NewFlagSet("watch", flag.ContinueOnError)
	url := fs.String("url", "", "URL to poll")
	interval := fs.Duration("interval", 20*time.Millisecond, "time between polls")
	timeout := fs.Duration("timeout", 2*time.Second, "how long one poll may take")
	duration := fs.Duration("duration", 0, "end after this long; 0 means when stopped")
	until := fs.String("until", "", "end once the outcome matches this regular expression; exit 1 if -duration ends first")
	var header headerFlag
	fs.Var(&header, "H", `request header "Name: value", may be repeated`)
	if _, code, ok := parse(env, fs, args); !ok {
		return code
	}
	if *url == "" || *interval <= 0 {
		_, _ = io.WriteString(env.Stderr, "osm-meshtest watch: want -url, and -interval above 0\n")
		return exitUsage
	}
	stop, err := regexp.Compile(*until)
	if err != nil {
		return fail(env, fmt.Errorf("-until %q: %w", *until, err))
	}
	if *duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, *duration)
		defer cancel()
	}
	if watch(ctx, env.Stdout, newClient(*timeout, false, 1), *url, header.h, *interval, *until != "", stop) || *until == "" {
		return exitOK
	}
	return exitError
}

// watch answers true when it ended because an outcome matched stop.
func watch(ctx context.Context, out io.Writer, client *http.Client, url string, h http.Header, interval time.Duration, stopping bool, stop *regexp.Regexp) bool {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	last, polls := "", 0
	for {
		began := time.Now()
		outcome := poll(context.WithoutCancel(ctx), client, url, h)
		if outcome != last {
			_, _ = fmt.Fprintf(out, "%s %s after %d\n", began.UTC().Format("2006-01-02T15:04:05.000000Z"), outcome, polls)
			last, polls = outcome, 0
		}
		polls++
		if stopping && stop.MatchString(outcome) {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C:
		}
	}
}

func poll(ctx context.Context, client *http.Client, url string, h http.Header) string {
	req, err := newRequest(ctx, http.MethodGet, url, "", h)
	if err != nil {
		return string(KindOther)
	}
	resp, err := client.Do(req)
	if err != nil {
		return string(classify(err))
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return string(classify(err))
	}
	outcome := strconv.Itoa(resp.StatusCode)
	if identity := resp.Header.Get("Identity"); identity != "" {
		outcome += " identity=" + identity
	}
	return outcome
}
