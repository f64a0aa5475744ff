package xds

import (
	"sync"
	"time"
)

// gate lets some streams at a time do what takes memory until the client has answered: a handshake with all that follows, or
// many resources. A thousand that are half done at once need five times the memory and are not done sooner; one after the other
// most are done earlier. Nobody stays in a gate for longer than most, so that clients that are slow, or mean, hold the others up little.
type gate struct {
	places chan struct{}
	most   time.Duration
}

func newGate(places int, most time.Duration) *gate {
	return &gate{places: make(chan struct{}, places), most: most}
}

// enter waits for a place, first come first served, and returns what gives it back, which may be called twice. It returns nil if
// done is closed before that.
func (g *gate) enter(done <-chan struct{}) (leave func()) {
	select {
	case g.places <- struct{}{}:
	case <-done:
		return nil
	}
	var once sync.Once
	free := func() { once.Do(func() { <-g.places }) }
	timer := time.AfterFunc(g.most, free)
	return func() {
		timer.Stop()
		free()
	}
}
