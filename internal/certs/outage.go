package certs

import (
	"context"
	"errors"
	"sync"
	"time"

	"openservicemesh.io/osm/internal/obs"
)

// tellEvery is the time between two events about an authority that does not issue.
const tellEvery = 5 * time.Minute

// outage is the time in which nothing could be issued.
type outage struct {
	mu    sync.Mutex
	since time.Time
	told  time.Time
	err   error
}

// Outage returns since when no certificate has been issued although some were asked for, and why; nil when all is well.
func (a *Authority) Outage() (since time.Time, err error) {
	a.outage.mu.Lock()
	defer a.outage.mu.Unlock()
	return a.outage.since, a.outage.err
}

// tell remembers how an issue ended, and tells users of a failure: at once, then now and then.
func (a *Authority) tell(ctx context.Context, err error) {
	if errors.Is(err, context.Canceled) { // whoever asked went away
		return
	}
	o, now := &a.outage, a.now()
	o.mu.Lock()
	if err == nil {
		if o.err != nil {
			a.cfg.Log.Info("certificates are issued again", "failing_since", o.since.Format(time.RFC3339))
		}
		o.since, o.told, o.err = time.Time{}, time.Time{}, nil
		o.mu.Unlock()
		return
	}
	if o.err == nil {
		o.since = now
	}
	o.err = err
	due := o.told.IsZero() || now.Sub(o.told) >= tellEvery
	if due {
		o.told = now
	}
	o.mu.Unlock()
	if due && a.cfg.Events != nil {
		a.cfg.Events.Warn(ctx, obs.ReasonCertificateIssuanceRefused, err)
	}
}
