package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"openservicemesh.io/osm/internal/core/names"
)

// longest is how long a CPU profile may take; it is cut when the scenario ends.
const longest = 2 * time.Minute

// profileCPU records for a time; stop waits for its end. It does nothing unless -profile is set.
func (b *bench) profileCPU(ctx context.Context, name string, length time.Duration) (stop func()) {
	file := b.opts.profileFile(name)
	if file == "" {
		return func() {}
	}
	began := time.Now()
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer close(done)
		b.fetch(ctx, file, fmt.Sprintf("/debug/pprof/profile?seconds=%d", int(length.Seconds())))
	}()
	return func() {
		if left := length - time.Since(began); left > 0 {
			time.Sleep(left + time.Second)
		}
		cancel()
		<-done
	}
}

// profileLength is how long the CPU profile of a scenario is.
const profileLength = 5 * time.Second

func (b *bench) profileHeap(ctx context.Context, name string) {
	if file := b.opts.profileFile(name); file != "" {
		b.fetch(ctx, file, "/debug/pprof/heap") // no collection for its sake: it would be measured too
	}
}

// fetch writes a page of the debug server to a file; a profile that fails is told and missing.
func (b *bench) fetch(ctx context.Context, file, path string) {
	out, err := os.Create(file)
	if err == nil {
		err = errors.Join(debugPage(ctx, out, path), out.Close())
	}
	if err != nil {
		progress("%s: %v", file, err)
	}
}

// debugPage reads a page of the debug server, which MeshConfig opens.
func debugPage(ctx context.Context, to io.Writer, path string) error {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", names.PortControllerDebug, path), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	_, err = io.Copy(to, resp.Body)
	return err
}
