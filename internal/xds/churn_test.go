package xds_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/plan"
	"openservicemesh.io/osm/internal/testkit/deltaclient"
	"openservicemesh.io/osm/internal/testkit/xdsserver"
	"openservicemesh.io/osm/internal/testkit/xdstest"
	"openservicemesh.io/osm/internal/xds"
)

const patience = 30 * time.Second

func identity(i int) meshid.Identity {
	return meshid.Identity{Namespace: fmt.Sprint("ns", i), ServiceAccount: "app"}
}

func pod(i int) meshid.Pod {
	return meshid.Pod{Namespace: fmt.Sprint("ns", i%10), Name: fmt.Sprint("pod-", i), UID: fmt.Sprint("uid-", i)}
}

// countedView counts how often a pod is looked up.
type countedView struct {
	*xdstest.View
	placed *atomic.Int64
}

func (v countedView) Place(p meshid.Pod) (plan.Key, bool) {
	v.placed.Add(1)
	return v.View.Place(p)
}

// config is one cluster of its own for each identity.
func config(i int) []*envoy.Resource {
	own := names.SecretServiceCert(identity(i))
	return []*envoy.Resource{
		xdstest.Cluster(fmt.Sprint("c", i), 1, own), xdstest.Listener("outbound-listener", 15001, 1, []string{"r"}, nil),
		xdstest.Route("r", 1, fmt.Sprint("c", i)),
	}
}

// join connects a client and waits until it has its listener; stop ends it and its connection.
func join(t *testing.T, s *xdsserver.Server, token string) (stop func()) {
	conn, err := deltaclient.Dial(s.Address, xdsserver.Name, s.Roots)
	if !assert.NoError(t, err) {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	client, done := deltaclient.NewClient(), make(chan struct{})
	go func() { defer close(done); _ = client.Run(ctx, conn, token) }()
	waiting, enough := context.WithTimeout(ctx, patience)
	defer enough()
	assert.NoError(t, client.Wait(waiting, func(m *deltaclient.Model) bool { return len(m.Held[envoy.Listener]) > 0 }))
	return func() { cancel(); _ = conn.Close(); <-done }
}

// A change of endpoints is not even looked at on behalf of the streams that it does not concern.
func TestOthersEndpointsCostAStreamNothing(t *testing.T) {
	s, err := xdsserver.Start(xds.Options{})
	require.NoError(t, err)
	defer s.Stop()
	var placed atomic.Int64
	view := xdstest.NewView()
	view.Plan = new(int)
	const identities, replicas, changes = 10, 5, 50
	for i := range identities * replicas {
		id := identity(i % 10)
		view.Add(pod(i), id, config(i%10)...)
		s.Tokens.Allow(fmt.Sprint("t", i), xds.Peer{Pod: pod(i), Identity: id})
	}
	s.Hub.SetView(countedView{view, &placed})
	for i := range identities * replicas {
		defer join(t, s, fmt.Sprint("t", i))()
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, s.Hub.WaitAcked(ctx, view.Gen))

	placed.Store(0)
	for n := range changes {
		view = view.Next()
		view.EDS["c0"] = xdstest.Endpoints("c0", 1, uint32(8000+n))
		s.Hub.SetView(countedView{view, &placed})
		require.NoError(t, s.Hub.WaitAcked(ctx, view.Gen))
	}
	require.EqualValues(t, changes*replicas, placed.Load(), "the streams of one identity of %d", identities)
	for _, c := range s.Hub.Connections() {
		require.Equal(t, view.Gen, c.Generation, "whoever is not concerned has the newest generation")
		require.Equal(t, view.Gen, c.Acked)
	}

	view = view.Next()
	view.Plan = new(int)
	placed.Store(0)
	s.Hub.SetView(countedView{view, &placed})
	require.EqualValues(t, identities*replicas, placed.Load(), "another basis: all are looked at")
	require.NoError(t, s.Hub.WaitAcked(ctx, view.Gen))
}

// After a thousand streams that came and went, while services and pods came and went too, nothing of them is left.
func TestNothingIsLeftOfAThousandStreams(t *testing.T) {
	s, err := xdsserver.Start(xds.Options{})
	require.NoError(t, err)
	defer func() { s.Stop(); goleak.VerifyNone(t) }()
	const rounds, atOnce = 20, 50
	base := runtime.NumGoroutine()
	gen := uint64(0)
	for round := range rounds {
		view := xdstest.NewView()
		gen++
		view.Gen = gen
		for i := range atOnce {
			n := round*atOnce + i
			view.Add(pod(n), identity(n), config(n)...)
			s.Tokens.Allow(fmt.Sprint("t", n), xds.Peer{Pod: pod(n), Identity: identity(n)})
		}
		s.Hub.SetView(view)
		stops := make([]func(), atOnce)
		var wg sync.WaitGroup
		for i := range atOnce {
			wg.Go(func() { stops[i] = join(t, s, fmt.Sprint("t", round*atOnce+i)) })
		}
		wg.Wait()
		require.Equal(t, atOnce, s.Hub.Len())
		require.Equal(t, atOnce, s.Hub.Sizes()["groups"])
		for _, stop := range stops {
			wg.Go(stop)
		}
		wg.Wait()
		require.Eventually(t, func() bool { return s.Hub.Len() == 0 }, patience, time.Millisecond)
	}
	for name, n := range s.Hub.Sizes() {
		require.Zero(t, n, name)
	}
	for end := time.Now().Add(patience); runtime.NumGoroutine() > base; time.Sleep(10 * time.Millisecond) {
		require.True(t, time.Now().Before(end), "goroutines return to %d; there are %d", base, runtime.NumGoroutine())
	}
}
