// Package process is what the long-lived programs of the control plane have in common from their start to their end. Input: a
// program's name, its checks and its work. Output: the process's end. It imports obs only.
package process

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"openservicemesh.io/osm/internal/obs"
)

// Program is one program, its command line read.
type Program struct {
	// Name is the binary's, for example "osm-controller".
	Name string
	// Verbosity is the first level of the log.
	Verbosity string
	// Check says what is wrong with the command line, naming the flag.
	Check func() error
	// Run works until ctx ends.
	Run func(ctx context.Context, logging *obs.Logging, metrics *obs.Metrics) error
}

// Start runs the program until it ends or the process is told to (SIGTERM, SIGINT). The error has been logged too.
func (p Program) Start() error {
	metrics := obs.NewMetrics()
	logging, err := obs.Start(p.Verbosity, metrics.ErrorCode)
	if err != nil {
		return err
	}
	log := logging.Logger(p.Name + "/main")
	if err := p.Check(); err != nil {
		log.Error("the program cannot start", "error", err)
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := p.Run(ctx, logging, metrics); err != nil {
		log.Error("the program ends", "error", err)
		return err
	}
	return nil
}

// Exit ends the process: with 0, or with the error printed and 1.
func Exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

// Pause waits for d or wake; false when ctx ended first.
func Pause(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-wake:
	case <-t.C:
	}
	return true
}
