package meshtest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// Exit codes of every applet; the clients add curl's.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// applet is one program. run answers the exit code.
type applet struct {
	name, args, short string
	run               func(ctx context.Context, env Env, args []string) int
}

// Env is the world an applet sees.
type Env struct {
	Stdout, Stderr io.Writer
	Getenv         func(string) string
}

func applets() []applet {
	return []applet{
		{"echo", "", "HTTP/1.1 and h2c server that answers with the request as JSON", runEcho},
		{"tcpecho", "", "TCP server that sends back what it gets", runTCPEcho},
		{"grpcecho", "", "gRPC server with the standard health service", runGRPCEcho},
		{"get", "URL", "one HTTP request; exits like curl (7 refused, 28 timeout, 52 empty reply, 56 reset)", runGet},
		{"tcpget", "HOST:PORT", "one TCP exchange; exits like curl", runTCPGet},
		{"grpcget", "HOST:PORT", "one gRPC health check; exits like curl, 22 for a gRPC error", runGRPCGet},
		{"wsget", "URL", "messages to a WebSocket that echoes, or bytes after another upgrade; exits like curl, 22 for another status", runWSGet},
		{"calls", "CALLS", "the HTTP and TCP calls of a list of JSON objects; prints how each ended", runCalls},
		{"load", "", "steady load on one URL; prints a JSON summary", runLoad},
		{"watch", "", "polls one URL and prints a line whenever the outcome changes", runWatch},
		{"authz", "", "gRPC external authorizer; request headers tell it what to say", runAuthz},
		{"ratelimit", "", "gRPC rate limit service that counts in memory", runRateLimit},
		{"repeat", "APPLET …", "runs another applet several times; exits with the first code that is not 0", runRepeat},
		{"sleep", "", "does nothing until it is stopped", runSleep},
	}
}

// Run runs the applet that args[0] names until it ends or ctx does, and
// answers the process's exit code.
func Run(ctx context.Context, env Env, args []string) int {
	if len(args) > 0 {
		for _, a := range applets() {
			if a.name == args[0] {
				return a.run(ctx, env, args[1:])
			}
		}
		_, _ = fmt.Fprintf(env.Stderr, "osm-meshtest: there is no applet %q\n", args[0])
	}
	var usage strings.Builder
	usage.WriteString("Usage: osm-meshtest APPLET [FLAGS] [ARGUMENT], where APPLET is one of\n")
	for _, a := range applets() {
		fmt.Fprintf(&usage, "  %-9s %-10s %s\n", a.name, a.args, a.short)
	}
	_, _ = io.WriteString(env.Stderr, usage.String())
	return exitUsage
}

// Main is Run in the real world.
func Main(ctx context.Context) int {
	return Run(ctx, Env{Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv}, os.Args[1:])
}

// parse parses args and wants exactly the named positional arguments after
// the flags. ok is false when the applet should end with code.
func parse(env Env, fs *flag.FlagSet, args []string, positional ...string) (rest []string, code int, ok bool) {
	fs.SetOutput(env.Stderr)
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil, exitOK, false
	case err != nil:
		return nil, exitUsage, false
	}
	if fs.NArg() != len(positional) {
		_, _ = fmt.Fprintf(env.Stderr, "osm-meshtest %s: want %d arguments after the flags %v, got %v\n", fs.Name(), len(positional), positional, fs.Args())
		return nil, exitUsage, false
	}
	return fs.Args(), exitOK, true
}

func fail(env Env, err error) int {
	_, _ = fmt.Fprintf(env.Stderr, "osm-meshtest: %v\n", err)
	return exitError
}

// runRepeat runs the applet that its arguments name -n times, one after the other.
func runRepeat(ctx context.Context, env Env, args []string) int {
	fs := flag.NewFlagSet("repeat", flag.ContinueOnError)
	fs.SetOutput(env.Stderr)
	n := fs.Int("n", 10, "how many times")
	if err := fs.Parse(args); err != nil || fs.NArg() == 0 || fs.Arg(0) == "repeat" {
		_, _ = io.WriteString(env.Stderr, "osm-meshtest repeat: want another applet and its arguments after the flags\n")
		return exitUsage
	}
	for range *n {
		if code := Run(ctx, env, fs.Args()); code != exitOK || ctx.Err() != nil {
			return code
		}
	}
	return exitOK
}

func runSleep(ctx context.Context, env Env, args []string) int {
	fs := flag.NewFlagSet("sleep", flag.ContinueOnError)
	duration := fs.Duration("duration", 0, "end after this long; 0 means when stopped")
	if _, code, ok := parse(env, fs, args); !ok {
		return code
	}
	if *duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, *duration)
		defer cancel()
	}
	<-ctx.Done()
	return exitOK
}

// pause waits for d and answers false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
