package certs

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"openservicemesh.io/osm/internal/certs/signer"
	"openservicemesh.io/osm/internal/core/pki"
	"openservicemesh.io/osm/internal/obs"
	"openservicemesh.io/osm/internal/obs/errcode"
)

// Run watches the root's Secret until ctx ends. A new root is trusted at once, signs after the overlap, and the old one
// stays trusted until the last certificate it signed here has expired. A Secret that becomes
// unusable or is deleted changes nothing but the log: the mesh goes on with the root it has.
func (a *Authority) Run(ctx context.Context) error {
	events := make(chan *corev1.Secret)
	send := func(s *corev1.Secret) {
		select {
		case events <- s:
		case <-ctx.Done():
		}
	}
	go a.informer(a.cfg.SecretName, send).RunWithContext(ctx)
	go a.followObjects(ctx)

	step := time.NewTimer(time.Hour)
	defer step.Stop()
	for {
		changed := a.Changed()
		step.Reset(a.untilNextStep())
		select {
		case <-changed: // by another goroutine: there may be a step to wait for
		case <-ctx.Done():
			return nil
		case s := <-events:
			a.see(ctx, s)
		case <-step.C:
			a.step()
		}
	}
}

// informer tells every state of a Secret, and nil when it is deleted.
func (a *Authority) informer(name string, tell func(*corev1.Secret)) cache.SharedIndexInformer {
	only := fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
	lw := cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = only
			return a.cfg.Secrets.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = only
			return a.cfg.Secrets.Watch(ctx, o)
		},
	}, a.cfg.Secrets)
	inf := cache.NewSharedIndexInformer(lw, &corev1.Secret{}, 0, cache.Indexers{})
	send := func(obj any, deleted bool) {
		s, ok := obj.(*corev1.Secret)
		if !deleted && (!ok || s.Name != name) {
			return
		}
		if deleted {
			s = nil
		}
		tell(s)
	}
	_, _ = inf.AddEventHandler(cache.ResourceEventHandlerFuncs{ // fails only on an informer that has stopped
		AddFunc:    func(obj any) { send(obj, false) },
		UpdateFunc: func(_, obj any) { send(obj, false) },
		DeleteFunc: func(obj any) {
			if d, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = d.Obj
			}
			if s, ok := obj.(*corev1.Secret); ok && s.Name == name {
				send(nil, true)
			}
		},
	})
	return inf
}

func (a *Authority) see(ctx context.Context, s *corev1.Secret) {
	if a.Roots().On {
		return // the objects say what counts, and an object that names this Secret is followed
	}
	r, err := (*signer.Root)(nil), error(nil)
	if s == nil {
		err = errcode.Errorf(errcode.FetchingCertSecret, "Secret %s was deleted; put it back from a backup, "+
			"or restart osm-controller, osm-injector and all meshed pods to change to a new root", a.where())
	} else {
		r, err = a.cfg.Provider.Parse(a.where(), s.Data, a.now())
	}
	if err != nil {
		a.warn(ctx, fmt.Errorf("the mesh goes on with root certificate %s: %w", a.RootID(), err))
		return
	}
	a.changing.Lock()
	defer a.changing.Unlock()
	a.take(r)
}

// take begins to trust what the Secret says; the caller holds changing.
func (a *Authority) take(r *signer.Root) {
	t := a.trust.Load().offer(r, a.now())
	if t == nil {
		return
	}
	a.trust.Store(t)
	a.cfg.Log.Info("the root certificate's Secret changed", "secret", a.where(), "signing_root", t.signer.ID, "secret_root", r.ID,
		"signs_in", a.cfg.Overlap.String())
	a.bundleChanged.fire()
}

func (a *Authority) warn(ctx context.Context, err error) {
	if a.cfg.Events != nil {
		a.cfg.Events.Warn(ctx, obs.ReasonCertificateRotationFailure, err)
		return
	}
	a.cfg.Log.Error("a changed root certificate cannot be used", "error", err)
}

// untilNextStep is how long until step has something to do.
func (a *Authority) untilNextStep() time.Duration {
	switch t := a.trust.Load(); {
	case t.next != nil && !t.managed:
		return a.cfg.Overlap
	case t.retired != nil:
		// Short sleeps: a wall-clock instant is waited for, and the timer stands still while the machine sleeps.
		return min(max(t.retiredUntil.Sub(a.now()), 0), time.Minute)
	}
	return time.Hour
}

func (a *Authority) step() {
	a.changing.Lock()
	defer a.changing.Unlock()
	t, now := a.trust.Load(), a.now()
	switch {
	case t.next != nil && !t.managed:
		// Backdate covers a certificate that is being signed right now.
		until := time.Unix(a.lastNotAfter.Swap(0), 0).Add(pki.Backdate)
		a.trust.Store(t.turn(until, now))
		a.cfg.Log.Info("a new root certificate signs from now on", "root", t.next.ID, "before", t.signer.ID,
			"before_trusted_until", until.UTC().Format(time.RFC3339))
		a.signerChanged.fire()
	case t.retired != nil && !now.Before(t.retiredUntil):
		a.trust.Store(t.forget(now))
		a.cfg.Log.Info("a retired root certificate is no longer trusted", "root", t.retired.ID)
		a.bundleChanged.fire()
	}
}
