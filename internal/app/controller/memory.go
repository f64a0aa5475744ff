package controller

import (
	"context"
	"log/slog"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

const (
	// gcPercent trades a little CPU for a small heap: between changes the controller has nothing to do.
	gcPercent = 40
	// memoryLook is how often it is seen whether memory can be given back. It takes some 10 µs.
	memoryLook = 500 * time.Millisecond
	// quietLooks in a row, with less than quietBytes allocated between them, follow a burst that is over.
	quietLooks = 3
	quietBytes = 1 << 20
	// burstBytes allocated since memory was given back last are worth a collection to give it back again.
	burstBytes = 64 << 20
)

// tuneMemory keeps the heap small, and within the container's limit if it has one.
func tuneMemory(log *slog.Logger) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if _, err := memlimit.SetGoMemLimitWithOpts(); err != nil {
		log.Debug("the container's memory limit is not known; none is kept", "error", err)
	}
}

// giveBack returns to the system what bursts have left, as soon as one is over. By itself the runtime keeps it until the next
// collection, which in a quiet mesh is two minutes later, and then takes minutes.
func giveBack(ctx context.Context) {
	var b burst
	allocated := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	look := time.NewTicker(memoryLook)
	defer look.Stop()
	for {
		metrics.Read(allocated)
		if b.over(allocated[0].Value.Uint64()) {
			debug.FreeOSMemory()
		}
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
	}
}

// burst follows how many bytes have ever been allocated.
type burst struct {
	last, freed uint64
	quiet       int
}

// over reports whether much was allocated since it last did, and now little is.
func (b *burst) over(allocated uint64) bool {
	if allocated-b.last < quietBytes {
		b.quiet++
	} else {
		b.quiet = 0
	}
	b.last = allocated
	if b.quiet < quietLooks || allocated-b.freed < burstBytes {
		return false
	}
	b.freed = allocated
	return true
}
