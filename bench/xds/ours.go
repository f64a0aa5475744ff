package main

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"openservicemesh.io/osm/internal/core/envoy"
	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/testkit/xdsserver"
	"openservicemesh.io/osm/internal/testkit/xdstest"
	"openservicemesh.io/osm/internal/xds"
)

// subject is a control plane that is measured: the product's delta server or the least one. A change is prepared
// outside of the measured time and takes effect with publish.
type subject interface {
	address() (address string, rootPEM []byte)
	prepare(change string, round int) (publish func(), err error)
	// settled waits until every proxy is there and has acknowledged everything.
	settled(ctx context.Context) error
	stop()
}

// The changes that can be prepared.
const (
	changeEndpoint = "endpoint" // of a cluster that everybody uses
	changePrivate  = "private"  // of a cluster that one identity uses
	changePolicy   = "policy"   // the routes of everybody
)

// gcPercent is what the controller sets for itself (internal/app/controller).
const gcPercent = 40

// ours is internal/xds.
type ours struct {
	size
	srv  *xdsserver.Server
	view *xdstest.View
}

func newOurs(s size) (*ours, error) {
	debug.SetGCPercent(gcPercent)
	srv, err := xdsserver.Start(xds.Options{StreamsPerSecond: 1 << 20})
	if err != nil {
		return nil, err
	}
	o := &ours{size: s, srv: srv, view: xdstest.NewView()}
	for i := range s.services {
		o.view.EDS[cluster(i)] = endpoints(cluster(i), s.endpoints)
	}
	o.view.EDS[private] = endpoints(private, s.endpoints)
	o.configure(1)
	srv.Hub.SetView(o.view)
	return o, nil
}

func (o *ours) address() (string, []byte) { return o.srv.Address, o.srv.RootPEM }
func (o *ours) stop()                     { o.srv.Stop() }

// configure gives every pod its configuration at revision rev.
func (o *ours) configure(rev int) {
	o.view.Plan = new(int)
	for i := range o.services {
		list := config(i, o.services, rev)
		for p := i; p < o.proxies; p += o.services {
			pod := meshid.Pod{Namespace: identity(i).Namespace, Name: fmt.Sprint("app-", p), UID: fmt.Sprint(p)}
			if rev == 1 {
				o.srv.Tokens.Allow(fmt.Sprint("token-", p), xds.Peer{Pod: pod, Identity: identity(i)})
			}
			o.view.Add(pod, identity(i))
		}
		for key := range o.view.Configs {
			if key.Identity == identity(i) {
				o.view.Configs[key] = envoy.NewResources(list)
			}
		}
	}
}

func (o *ours) prepare(change string, round int) (func(), error) {
	o.view = o.view.Next()
	switch change {
	case changeEndpoint:
		o.view.EDS[cluster(0)] = endpoints(cluster(0), o.endpoints+1+round%2)
	case changePrivate:
		o.view.EDS[private] = endpoints(private, o.endpoints+1+round%2)
	case changePolicy:
		o.configure(2 + round)
	default:
		return nil, fmt.Errorf("no change is called %q", change)
	}
	return func() { o.srv.Hub.SetView(o.view) }, nil
}

func (o *ours) settled(ctx context.Context) error {
	for o.srv.Hub.Len() < o.proxies {
		if ctx.Err() != nil {
			return fmt.Errorf("%d of %d proxies came", o.srv.Hub.Len(), o.proxies)
		}
		time.Sleep(time.Millisecond)
	}
	return o.srv.Hub.WaitAcked(ctx, o.view.Gen)
}
