package feature

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/testkit/deltaclient"
	"openservicemesh.io/osm/internal/testkit/xdstest"
	"openservicemesh.io/osm/internal/xds"
)

// TestWhoeverAsksHearsOfRefusals: the hub says when what proxies refuse changes, at the end of a stream too, and a refusal
// does not hold up the generation it came with.
func TestWhoeverAsksHearsOfRefusals(t *testing.T) {
	var told atomic.Int64
	s := start(t, xds.Options{Refusals: func() { told.Add(1) }})
	s.Tokens.Allow("t0", xds.Peer{Pod: pod(0), Identity: buyer})
	ctx := within(t, 20*time.Second)
	require.NoError(t, s.Hub.WaitTaken(ctx, 7), "nobody is there to wait for")
	require.EqualValues(t, 7, s.Hub.Taken(7))

	v := xdstest.NewView().Add(pod(0), buyer, xdstest.Cluster("a", 1), xdstest.Cluster("b", 1))
	s.Hub.SetView(v)
	c := deltaclient.NewClient()
	c.Refuse(xdstest.RefuseBad)
	p := connect(t, s, c, "t0")
	require.NoError(t, p.Wait(ctx, func(m *deltaclient.Model) bool { return m.Warm() }))
	require.NoError(t, s.Hub.WaitAcked(ctx, 1))
	require.Zero(t, told.Load())

	v = v.Next().Add(pod(0), buyer, xdstest.Cluster("a", xdstest.Bad), xdstest.Cluster("b", 1))
	s.Hub.SetView(v)
	require.NoError(t, s.Hub.WaitTaken(ctx, 2))
	require.EqualValues(t, 2, s.Hub.Taken(2))
	heard := func(n int64, why string) {
		t.Helper()
		require.Eventually(t, func() bool { return told.Load() == n }, 10*time.Second, time.Millisecond, why)
	}
	heard(1, "a refusal")
	require.Len(t, s.Hub.Rejections(), 1)

	v = v.Next().Add(pod(0), buyer, xdstest.Cluster("a", 2), xdstest.Cluster("b", 1))
	s.Hub.SetView(v)
	require.NoError(t, s.Hub.WaitTaken(ctx, 3))
	heard(2, "it is over")

	s.Hub.SetView(v.Next().Add(pod(0), buyer, xdstest.Cluster("a", xdstest.Bad), xdstest.Cluster("b", 1)))
	heard(3, "another")
	p.stop()
	heard(4, "who has gone refuses nothing")
	require.Empty(t, s.Hub.Rejections())
}
