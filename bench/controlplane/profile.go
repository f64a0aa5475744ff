package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"openservicemesh.io/osm/internal/core/names"
)

// longest is how long a CPU profile may take; it is cut when the scenario ends.
const longest = 2 * time.Minute

// profileCPU records until stop is called; it does nothing unless -profile is set.
func (b *bench) profileCPU(ctx context.Context, name string) (stop func()) {
	file := b.opts.profileFile(name)
	if file == "" {
		return func() {}
	}
	began := time.Now()
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer close(done)
		b.fetch(ctx, file, fmt.Sprintf("/debug/pprof/profile?seconds=%d", int(profileLength.Seconds())))
	}()
	return func() {
		if left := profileLength - time.Since(began); left > 0 {
			time.Sleep(left + time.Second)
		}
		cancel()
		<-done
	}
}

// profileLength is how long each CPU profile is.
const profileLength = 5 * time.Second

func (b *bench) profileHeap(ctx context.Context, name string) {
	if file := b.opts.profileFile(name); file != "" {
		b.fetch(ctx, file, "/debug/pprof/heap") // no collection for its sake: it would be measured too
	}
}

// fetch reads a page of the debug server, which MeshConfig opens; a profile that fails is told and missing.
func (b *bench) fetch(ctx context.Context, file, path string) {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", names.PortControllerDebug, path), nil)
	if err != nil {
		progress("%s: %v", path, err)
		return
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		progress("%s: %v", path, err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	out, err := os.Create(file)
	if err == nil {
		_, err = io.Copy(out, resp.Body)
		_ = out.Close()
	}
	if err != nil {
		progress("%s: %v", file, err)
	}
}
