package controller

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBurstIsOver(t *testing.T) {
	const mb = 1 << 20
	var b burst
	var allocated uint64
	after := func(n uint64) bool { allocated += n; return b.over(allocated) }
	for range 10 {
		require.False(t, after(10*mb), "it is going on")
	}
	require.False(t, after(0))
	require.False(t, after(mb/2))
	require.True(t, after(0), "the third look at which little happened")
	for range 100 {
		require.False(t, after(mb/2), "what is allocated now and then is no burst")
	}
	require.False(t, after(20*mb))
	for range quietLooks - 1 {
		require.False(t, after(0))
	}
	require.True(t, after(mb/2), "small changes add up")
	require.False(t, after(0))
}

func TestEveryCollectionIsTold(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	collected := make(chan struct{}, 1)
	onCollection(ctx, collected)
	for range 3 {
		runtime.GC()
		select {
		case <-collected:
		case <-time.After(10 * time.Second):
			require.Fail(t, "there was a collection")
		}
	}
	cancel()
	runtime.GC()
	select {
	case <-collected: // of one before the end
	default:
	}
	runtime.GC()
	require.Never(t, func() bool { return len(collected) > 0 }, 100*time.Millisecond, 10*time.Millisecond)
}

func TestRoomGrowsLessThanTheHeap(t *testing.T) {
	t.Setenv("GOGC", "")
	require.Equal(t, gcPercent, percentFor(gcHeap))
	require.Equal(t, leastGCPercent, percentFor(100*gcHeap))
	require.Equal(t, 30, percentFor(gcHeap*16/9))
	require.Equal(t, gcPercent, percentFor(0))
	p := pace{percent: gcPercent}
	require.False(t, p.follow(gcHeap))
	require.False(t, p.follow(gcHeap*9/10), "not worth it")
	require.True(t, p.follow(gcHeap*16/9))
	require.Equal(t, 30, p.percent)
	t.Setenv("GOGC", "100")
	require.False(t, p.follow(gcHeap), "the user has said how much")
}

func TestCollectorRestsUntilMuchIsAllocated(t *testing.T) {
	busy := presentPace()
	defer busy.keep()
	runtime.GC()
	busy.rest()
	resting := presentPace()
	require.Negative(t, resting.percent, "not every two minutes")
	require.Less(t, resting.limit, busy.limit)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 100 { // many times the room, all of it garbage
		kept = make([]byte, leastRoom)
	}
	runtime.ReadMemStats(&after)
	require.Greater(t, after.NumGC, before.NumGC)
	require.Less(t, after.Sys-after.HeapReleased, uint64(resting.limit)+8*leastRoom) //nolint:gosec // positive
	busy.keep()
	require.Equal(t, busy, presentPace())
}

// kept is written so that what a test allocates is allocated.
var kept []byte
