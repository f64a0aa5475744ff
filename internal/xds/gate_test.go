package xds

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestGateLetsSomeInAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(3, time.Second)
		var inside, most atomic.Int64
		var all sync.WaitGroup
		for range 30 {
			all.Go(func() {
				leave := g.enter(nil)
				most.Store(max(most.Load(), inside.Add(1)))
				time.Sleep(time.Millisecond)
				inside.Add(-1)
				leave()
				leave()
			})
		}
		begin := time.Now()
		all.Wait()
		require.EqualValues(t, 3, most.Load())
		require.Equal(t, 10*time.Millisecond, time.Since(begin))
		require.Empty(t, g.places)
	})
}

// Those who stay make room after a second, and what they give back later is nobody else's place.
func TestGateIsNotHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(2, time.Second)
		stuck := []func(){g.enter(nil), g.enter(nil)}
		closed := make(chan struct{})
		close(closed)
		require.Nil(t, g.enter(closed))
		begin := time.Now()
		g.enter(nil)
		g.enter(nil)
		require.Equal(t, time.Second, time.Since(begin))
		for _, leave := range stuck {
			leave()
		}
		require.Len(t, g.places, 2)
		time.Sleep(2 * time.Second)
		require.Empty(t, g.places)
	})
}
