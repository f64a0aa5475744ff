package feature

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/plan"
	"openservicemesh.io/osm/internal/testkit/deltaclient"
	"openservicemesh.io/osm/internal/testkit/xdsserver"
	"openservicemesh.io/osm/internal/testkit/xdstest"
	"openservicemesh.io/osm/internal/xds"
)

var (
	buyer   = meshid.Identity{Namespace: "bookbuyer", ServiceAccount: "bookbuyer"}
	store   = meshid.Identity{Namespace: "bookstore", ServiceAccount: "bookstore"}
	ownCert = names.SecretServiceCert(buyer)
)

func pod(i int) meshid.Pod {
	return meshid.Pod{Namespace: "bookbuyer", Name: fmt.Sprint("bookbuyer-", i), UID: fmt.Sprint("uid-", i)}
}

// start runs a server for the test and checks at its end that nothing is left running.
func start(t *testing.T, opts xds.Options) *xdsserver.Server {
	t.Helper()
	before := goleak.IgnoreCurrent()
	s, err := xdsserver.Start(opts)
	require.NoError(t, err)
	t.Cleanup(func() {
		s.Stop()
		goleak.VerifyNone(t, before)
	})
	return s
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// proxy is a client that runs until it is stopped or the test ends.
type proxy struct {
	*deltaclient.Client
	conn *grpc.ClientConn
	end  chan error
	stop func()
}

func dial(t *testing.T, s *xdsserver.Server) *grpc.ClientConn {
	t.Helper()
	conn, err := deltaclient.Dial(s.Address, xdsserver.Name, s.Roots)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func connect(t *testing.T, s *xdsserver.Server, c *deltaclient.Client, token string) *proxy {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p := &proxy{Client: c, conn: dial(t, s), end: make(chan error, 1)}
	go func() { p.end <- c.Run(ctx, p.conn, token) }()
	stopped := false
	p.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		err := <-p.end
		if _, grpc := status.FromError(err); !grpc && !errors.Is(err, context.Canceled) {
			t.Errorf("the client complains: %v", err)
		}
		_ = p.conn.Close()
	}
	t.Cleanup(p.stop)
	return p
}

// shop is the configuration of the tests: a route over two clusters with TLS.
func shop(rev int) []*envoy.Resource {
	return []*envoy.Resource{
		xdstest.Cluster("a", 1, ownCert), xdstest.Cluster("b", 1), xdstest.Route("r", rev, "a", "b"),
		xdstest.Listener("l", 0, 1, []string{"r"}, []string{"b"}),
	}
}

func complete(m *deltaclient.Model) bool {
	return len(m.Held[envoy.Listener]) == 1 && len(m.Held[envoy.Route]) == 1 && len(m.Held[envoy.Cluster]) == 2 && m.Warm()
}

// configured starts a server with the first view of the shop, and a proxy that has all of it.
func configured(t *testing.T, ctx context.Context) (*xdsserver.Server, *xdstest.View, *proxy) {
	t.Helper()
	s := start(t, xds.Options{})
	s.Tokens.Allow("t0", xds.Peer{Pod: pod(0), Identity: buyer})
	v := xdstest.NewView().Add(pod(0), buyer, shop(1)...)
	v.EDS["a"], v.EDS["b"] = xdstest.Endpoints("a", 1, 80), xdstest.Endpoints("b", 1, 81)
	s.Hub.SetView(v)
	p := connect(t, s, deltaclient.NewClient(), "t0")
	require.NoError(t, p.Wait(ctx, complete))
	require.NoError(t, s.Hub.WaitAcked(ctx, 1))
	return s, v, p
}

func TestAProxyIsConfiguredAndFollowsChanges(t *testing.T) {
	ctx := within(t, 10*time.Second)
	s, v, p := configured(t, ctx)

	// An endpoint changes: one resource arrives, nothing else.
	_, before, _ := p.Traffic()
	v = v.Next()
	v.EDS["a"] = xdstest.Endpoints("a", 1, 80, 82)
	s.Hub.SetView(v)
	require.NoError(t, s.Hub.WaitAcked(ctx, 2))
	_, after, _ := p.Traffic()
	require.Equal(t, before+1, after)

	// A cluster goes and another comes; the client itself watches that nothing dangles.
	v = v.Next().Add(pod(0), buyer, xdstest.Cluster("b", 1), xdstest.Cluster("c", 1), xdstest.Route("r", 1, "b", "c"),
		xdstest.Listener("l", 0, 1, []string{"r"}, []string{"b"}))
	s.Hub.SetView(v)
	require.NoError(t, s.Hub.WaitAcked(ctx, 3))
	require.NotContains(t, p.Held(envoy.Cluster), "a")
	require.Contains(t, p.Held(envoy.Cluster), "c")
	require.Equal(t, s.Hub.Held(ctx, pod(0))[envoy.Cluster], map[string]string{
		"b": p.Held(envoy.Cluster)["b"].Version, "c": p.Held(envoy.Cluster)["c"].Version,
	})
}

// TestAddressesChangeWithThePodsKey: a pod may get another key, for example because it is to be scraped, by the very view in
// which addresses change that it holds.
func TestAddressesChangeWithThePodsKey(t *testing.T) {
	ctx := within(t, 10*time.Second)
	s, v, p := configured(t, ctx)

	v = v.Next()
	v.EDS["a"] = xdstest.Endpoints("a", 2, 80, 82)
	scraped := plan.NewKey(buyer, nil, true, false)
	v.Pods[pod(0)], v.Configs[scraped] = scraped, envoy.NewResources(shop(2))
	s.Hub.SetView(v)
	require.NoError(t, s.Hub.WaitAcked(ctx, 2))
	require.Contains(t, p.Held(envoy.Endpoint)["a"].Version, v.EDS["a"].Version)
}

func TestReconnectResendsNothingUnchanged(t *testing.T) {
	s := start(t, xds.Options{})
	s.Tokens.Allow("t0", xds.Peer{Pod: pod(0), Identity: buyer})
	v := xdstest.NewView().Add(pod(0), buyer, shop(1)...)
	s.Hub.SetView(v)
	c := deltaclient.NewClient()
	p := connect(t, s, c, "t0")
	ctx := within(t, 10*time.Second)
	require.NoError(t, p.Wait(ctx, complete))
	require.NoError(t, s.Hub.WaitAcked(ctx, 1))
	p.stop()
	require.Eventually(t, func() bool { return s.Hub.Len() == 0 }, time.Second, time.Millisecond)
	issued := s.Certs.Issued()

	p = connect(t, s, c, "t0")
	require.Eventually(t, func() bool { return len(s.Hub.Connections()) == 1 && s.Hub.Connections()[0].Acked == 1 }, 5*time.Second, time.Millisecond)
	_, resources, bytes := p.Traffic()
	require.Zero(t, resources)
	require.LessOrEqual(t, bytes, 410, "the least server's figure")
	require.Equal(t, issued, s.Certs.Issued(), "a certificate that is still good is not issued again")
	p.stop()

	// What changed while away comes, and only that.
	s.Hub.SetView(v.Next().Add(pod(0), buyer, shop(2)...))
	p = connect(t, s, c, "t0")
	require.Eventually(t, func() bool { return len(s.Hub.Connections()) == 1 && s.Hub.Connections()[0].Acked == 2 }, 5*time.Second, time.Millisecond)
	_, resources, _ = p.Traffic()
	require.Equal(t, 1, resources)
}

func TestOnlyTheAffectedHearOfAChange(t *testing.T) {
	s := start(t, xds.Options{})
	v := xdstest.NewView()
	var proxies []*proxy
	for i := range 4 {
		id := buyer
		if i >= 2 {
			id = store
		}
		s.Tokens.Allow(fmt.Sprint("t", i), xds.Peer{Pod: pod(i), Identity: id})
		v.Add(pod(i), id, xdstest.Cluster(id.Namespace, 1), xdstest.Route("r", 1, id.Namespace), xdstest.Listener("l", 0, 1, []string{"r"}, nil))
	}
	s.Hub.SetView(v)
	ctx := within(t, 10*time.Second)
	for i := range 4 {
		p := connect(t, s, deltaclient.NewClient(), fmt.Sprint("t", i))
		require.NoError(t, p.Wait(ctx, func(m *deltaclient.Model) bool { return len(m.Held[envoy.Route]) == 1 && m.Warm() }))
		proxies = append(proxies, p)
	}
	require.NoError(t, s.Hub.WaitAcked(ctx, 1))
	var before [4]int
	for i, p := range proxies {
		before[i], _, _ = p.Traffic()
	}
	v = v.Next()
	v.EDS["bookstore"] = xdstest.Endpoints("bookstore", 1, 80)
	s.Hub.SetView(v)
	require.NoError(t, s.Hub.WaitAcked(ctx, 2))
	for i, p := range proxies {
		n, _, _ := p.Traffic()
		if i < 2 {
			require.Equal(t, before[i], n, "proxy %d is not concerned", i)
		} else {
			require.Equal(t, before[i]+1, n, "proxy %d", i)
		}
	}
}

func TestARefusedResourceStaysOutAlone(t *testing.T) {
	s := start(t, xds.Options{})
	s.Tokens.Allow("t0", xds.Peer{Pod: pod(0), Identity: buyer})
	var list []*envoy.Resource
	for i := range 20 {
		rev := 1
		if i == 7 {
			rev = xdstest.Bad
		}
		list = append(list, xdstest.Cluster(fmt.Sprint("c", i), rev))
	}
	v := xdstest.NewView().Add(pod(0), buyer, list...)
	s.Hub.SetView(v)
	c := deltaclient.NewClient()
	c.Refuse(xdstest.RefuseBad)
	p := connect(t, s, c, "t0")
	ctx := within(t, 10*time.Second)
	require.NoError(t, p.Wait(ctx, func(m *deltaclient.Model) bool { return len(m.Held[envoy.Cluster]) == 19 && m.Warm() }))
	require.NoError(t, s.Hub.WaitAcked(ctx, 1))
	require.Eventually(t, func() bool { return len(s.Hub.Rejections()) == 1 }, 5*time.Second, time.Millisecond)
	got := s.Hub.Rejections()[0]
	require.Equal(t, "c7", got.Name)
	require.Contains(t, got.Message, "bad cluster")
	require.Equal(t, []meshid.Pod{pod(0)}, got.Pods)

	// It is not sent again until it changes.
	v = v.Next()
	v.EDS["c1"] = xdstest.Endpoints("c1", 3, 80)
	_, before, _ := p.Traffic()
	s.Hub.SetView(v)
	require.NoError(t, s.Hub.WaitAcked(ctx, 2))
	_, after, _ := p.Traffic()
	require.Equal(t, before+1, after)
	list[7] = xdstest.Cluster("c7", 2)
	s.Hub.SetView(v.Next().Add(pod(0), buyer, list...))
	require.NoError(t, p.Wait(ctx, func(m *deltaclient.Model) bool { return len(m.Held[envoy.Cluster]) == 20 }))
	require.NoError(t, s.Hub.WaitAcked(ctx, 3))
	require.Empty(t, s.Hub.Rejections())
}

func TestAPodNotYetKnownWaitsForTheViewThatKnowsIt(t *testing.T) {
	s := start(t, xds.Options{ParkLimit: 300 * time.Millisecond})
	s.Tokens.Allow("t0", xds.Peer{Pod: pod(0), Identity: buyer})
	s.Tokens.Allow("t1", xds.Peer{Pod: pod(1), Identity: buyer})
	s.Hub.SetView(xdstest.NewView())
	known, never := connect(t, s, deltaclient.NewClient(), "t0"), connect(t, s, deltaclient.NewClient(), "t1")
	time.Sleep(100 * time.Millisecond)
	n, _, _ := known.Traffic()
	require.Zero(t, n)
	s.Hub.SetView(xdstest.NewView().Next().Add(pod(0), buyer, shop(1)...))
	require.NoError(t, known.Wait(within(t, 5*time.Second), complete))
	err := <-never.end
	require.Equal(t, codes.PermissionDenied, status.Code(err), "%v", err)
	never.end <- err
}

func TestCertificatesAreRenewedLive(t *testing.T) {
	s := start(t, xds.Options{Reissue: 20 * time.Millisecond})
	s.Tokens.Allow("t0", xds.Peer{Pod: pod(0), Identity: buyer})
	s.Certs.Fail(true)
	s.Hub.SetView(xdstest.NewView().Add(pod(0), buyer, shop(1)...))
	p := connect(t, s, deltaclient.NewClient(), "t0")
	ctx := within(t, 15*time.Second)
	require.NoError(t, p.Wait(ctx, func(m *deltaclient.Model) bool { return len(m.Held[envoy.Cluster]) == 2 }))
	s.Certs.Fail(false) // tried again after a moment
	version := func() string { return p.Held(envoy.Secret)[ownCert].Version }
	require.NoError(t, p.Wait(ctx, complete))
	require.NoError(t, s.Hub.WaitAcked(ctx, 1))
	first := version()
	s.Certs.Rotate()
	require.Eventually(t, func() bool { return version() != first }, 5*time.Second, time.Millisecond)
	require.Contains(t, version(), "root1.")
}

func TestACertificateIsRenewedBeforeItsTime(t *testing.T) {
	s := start(t, xds.Options{})
	s.Certs.Life = 200 * time.Millisecond
	s.Tokens.Allow("t0", xds.Peer{Pod: pod(0), Identity: buyer})
	s.Hub.SetView(xdstest.NewView().Add(pod(0), buyer, shop(1)...))
	p := connect(t, s, deltaclient.NewClient(), "t0")
	require.NoError(t, p.Wait(within(t, 5*time.Second), complete))
	first := p.Held(envoy.Secret)[ownCert].Version
	require.Eventually(t, func() bool { return p.Held(envoy.Secret)[ownCert].Version != first }, 2*time.Second, time.Millisecond)
}
