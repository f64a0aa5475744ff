package controller

import (
	"context"
	"log/slog"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

const (
	// gcPercent trades a little CPU for a small heap: between changes the controller has nothing to do. It is for a live heap of up to
	// gcHeap; a larger one gets a smaller share, so that the highest use of memory grows less than the heap: by the square root, which
	// costs the least CPU for what it saves (Kirisame et al., Optimal Heap Limits for Reducing Browser Memory Use, OOPSLA 2022).
	gcPercent      = 40
	gcHeap         = 48 << 20
	leastGCPercent = 25
	// percentStep is the least change of it that is worth stopping the world for.
	percentStep = 3
	// memoryLook is how often it is seen, once there was a collection, whether memory can be given back.
	memoryLook = 500 * time.Millisecond
	// quietLooks in a row, with less than quietBytes allocated between them, follow a burst that is over.
	quietLooks = 3
	quietBytes = 1 << 20
	// burstBytes allocated since memory was given back last are worth a collection to give it back again.
	burstBytes = 64 << 20
	// leastRoom is what may be allocated between two collections in any case.
	leastRoom = 4 << 20
)

// tuneMemory keeps the heap small, and within the container's limit if it has one.
func tuneMemory(log *slog.Logger) {
	if !paceIsGiven() {
		debug.SetGCPercent(gcPercent)
	}
	if _, err := memlimit.SetGoMemLimitWithOpts(); err != nil {
		log.Debug("the container's memory limit is not known; none is kept", "error", err)
	}
}

// giveBack returns to the system what bursts have left, as soon as one is over. By itself the runtime keeps it until the next
// collection, which in a quiet mesh is two minutes later, and then takes minutes.
//
// Without a collection there was no burst, so nothing is looked at until there is one, and from then on until little happens.
// Then the collector rests too.
func giveBack(ctx context.Context) {
	var b burst
	busy := presentPace()
	defer busy.keep()
	collected := make(chan struct{}, 1)
	onCollection(ctx, collected)
	look := time.After(memoryLook) // nil: nobody looks
	for {
		select {
		case <-ctx.Done():
			return
		case <-collected:
			if busy.follow(liveHeap()) || look == nil {
				busy.keep()
			}
			if look == nil {
				look = time.After(memoryLook)
			}
		case <-look:
			if b.over(measured("/gc/heap/allocs:bytes")) {
				debug.FreeOSMemory()
			}
			if b.quiet < quietLooks {
				look = time.After(memoryLook)
			} else {
				busy.rest()
				look = nil
			}
		}
	}
}

// pace is when the collector runs: percent of the live heap allocated after it, or bytes used (debug.SetMemoryLimit).
type pace struct {
	percent int
	limit   int64
}

func presentPace() pace {
	p := pace{percent: debug.SetGCPercent(-1), limit: debug.SetMemoryLimit(-1)}
	debug.SetGCPercent(p.percent)
	return p
}

// follow sets percent for a live heap in bytes, unless the user has set one, and reports whether it is another one.
func (p *pace) follow(live uint64) bool {
	if paceIsGiven() {
		return false
	}
	percent := percentFor(live)
	if d := percent - p.percent; -percentStep < d && d < percentStep {
		return false
	}
	p.percent = percent
	return true
}

// paceIsGiven is whether the user has set the collector's percentage.
func paceIsGiven() bool { return os.Getenv("GOGC") != "" }

func percentFor(live uint64) int {
	return min(gcPercent, max(leastGCPercent, int(gcPercent*math.Sqrt(gcHeap/float64(max(live, 1))))))
}

// liveHeap is what the last collection found in use, in bytes.
func liveHeap() uint64 { return measured("/gc/heap/live:bytes") }

// measured is one of the runtime's figures, by its name in runtime/metrics.
func measured(name string) uint64 {
	s := []metrics.Sample{{Name: name}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

func (p pace) keep() {
	debug.SetGCPercent(p.percent)
	debug.SetMemoryLimit(p.limit)
}

// rest has the collector run when as much was allocated as would make it run anyway, but not also every two minutes, in which a
// quiet controller allocates next to nothing: most of what it does would be that.
func (p pace) rest() {
	if p.percent < 0 {
		return
	}
	used := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(used)
	room := max(leastRoom, liveHeap()*uint64(p.percent)/100)
	debug.SetMemoryLimit(min(p.limit, int64(used[0].Value.Uint64()-used[1].Value.Uint64()+room))) //nolint:gosec // far less than 2⁶³
	debug.SetGCPercent(-1)
}

// onCollection says after each collection that there was one, until ctx ends.
func onCollection(ctx context.Context, collected chan<- struct{}) {
	type garbage struct{ _ *byte } // a pointer, so that nothing else shares its place and keeps it
	runtime.AddCleanup(&garbage{}, func(collected chan<- struct{}) {
		if ctx.Err() != nil {
			return
		}
		onCollection(ctx, collected) // first: who is told may collect at once, and is told of that too
		select {
		case collected <- struct{}{}:
		default:
		}
	}, collected)
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
