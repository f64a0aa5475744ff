package status

import (
	"context"
	"log/slog"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/kube/kubeapi"
)

// Lease timing: when the leader dies without a word, another replica writes within leaseDuration + 2×retryPeriod + settle = 14 s;
// after an orderly shutdown within retryPeriod + settle. A leader that cannot renew stops renewDeadline after its last success,
// before anybody else may take over.
const (
	leaseDuration = 9 * time.Second
	renewDeadline = 6 * time.Second
	retryPeriod   = 2 * time.Second
)

// Run takes part in the election and writes while this replica leads, until ctx ends. While another leads it writes what
// proxies of this replica refuse.
//
// The election is client-go's protocol over a Lease (holder, renew time; another takes over when it has not seen a
// renewal for leaseDuration by its own clock), but not client-go's code: that links the generated clientset, whose
// resident size is more than the rest of the controller's. What would happen in the worst case is that two replicas
// write the same statuses.
func (w *Writer) Run(ctx context.Context) {
	e := &election{
		leases: w.opts.Kube.Leases(w.opts.Namespace), namespace: w.opts.Namespace,
		name: names.Controller + "-" + w.opts.MeshName, me: w.opts.Replica, now: time.Now,
	}
	var asserting sync.WaitGroup
	defer asserting.Wait()
	asserting.Go(func() { w.assert(ctx) })
	e.run(ctx, w.opts.Log, func(ctx context.Context) {
		w.opts.Log.Info("this replica writes the statuses of policies from now on")
		var wg sync.WaitGroup
		defer wg.Wait()
		if w.opts.Leading != nil {
			wg.Go(func() { w.opts.Leading(ctx) })
		}
		w.lead(ctx)
	})
}

// election is one replica's part in choosing a leader.
type election struct {
	leases              kubeapi.Client[*coordinationv1.Lease, *coordinationv1.LeaseList]
	namespace, name, me string
	now                 func() time.Time

	// seen is the newest version of the Lease, and seenAt when this replica first saw it: clocks of replicas need not
	// agree.
	seen   string
	seenAt time.Time
	// mine is the Lease as this replica has last written it; nil unless it may still hold it.
	mine *coordinationv1.Lease
}

// run stands for election until ctx ends; lead is called while this replica leads, and its context ends with that.
func (e *election) run(ctx context.Context, log *slog.Logger, lead func(context.Context)) {
	var stop func()
	var renewed time.Time
	retry := time.NewTicker(retryPeriod)
	defer retry.Stop()
	for {
		held, err := e.try(ctx)
		switch {
		case held:
			renewed = e.now()
			if stop == nil {
				stop = start(ctx, lead)
			}
		case stop != nil && (err == nil || e.now().Sub(renewed) >= renewDeadline):
			log.Warn("this replica no longer writes the statuses of policies", "error", err)
			stop()
			stop = nil
		case err != nil && ctx.Err() == nil:
			log.Debug("the lease could not be read or written; it will be tried again", "lease", e.name, "error", err)
		}
		select {
		case <-ctx.Done():
			if stop != nil {
				stop()
				e.release()
			}
			return
		case <-retry.C:
		}
	}
}

// start runs lead and returns what ends it and waits for its end.
func start(ctx context.Context, lead func(context.Context)) func() {
	leading, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); lead(leading) }()
	return func() { cancel(); <-done }
}

// try takes or renews the lease if it may; held says whether it is this replica's now. Of two that take a lease at once
// the API server lets one through, by the resource version.
func (e *election) try(ctx context.Context) (held bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	now := e.now()
	if e.mine != nil && now.Before(e.seenAt.Add(leaseDuration)) {
		if held, err := e.write(ctx, e.mine, now); held || err != nil {
			return held, err
		}
	}
	lease, err := e.leases.Get(ctx, e.name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		lease = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: e.namespace, Name: e.name}}
		e.hold(lease, now)
		_, err = e.leases.Create(ctx, lease, metav1.CreateOptions{})
		return outcome(err)
	}
	if err != nil {
		return false, err
	}
	if version := lease.ResourceVersion + ptr.Deref(lease.Spec.RenewTime, metav1.MicroTime{}).String(); version != e.seen {
		e.seen, e.seenAt = version, now
	}
	holder := ptr.Deref(lease.Spec.HolderIdentity, "")
	if holder != "" && holder != e.me && now.Before(e.seenAt.Add(leaseDuration)) {
		return false, nil
	}
	return e.write(ctx, lease, now)
}

// write makes a version of the Lease this replica's. The answer is kept, so that a leader renews with one call; somebody
// else's change in between makes that a lost race, and the Lease is read again.
func (e *election) write(ctx context.Context, lease *coordinationv1.Lease, now time.Time) (held bool, err error) {
	lease = lease.DeepCopy()
	e.hold(lease, now)
	e.mine = nil
	written, err := e.leases.Update(ctx, lease, metav1.UpdateOptions{})
	if err == nil {
		e.mine, e.seenAt = written, now
	}
	return outcome(err)
}

// outcome takes a lost race for what it is: somebody else holds the lease.
func outcome(err error) (bool, error) {
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		return false, nil
	}
	return err == nil, err
}

// hold writes this replica into the lease.
func (e *election) hold(lease *coordinationv1.Lease, now time.Time) {
	spec := &lease.Spec
	if ptr.Deref(spec.HolderIdentity, "") != e.me {
		spec.AcquireTime = &metav1.MicroTime{Time: now}
		spec.LeaseTransitions = ptr.To(ptr.Deref(spec.LeaseTransitions, -1) + 1)
	}
	spec.HolderIdentity, spec.LeaseDurationSeconds = &e.me, ptr.To(int32(leaseDuration/time.Second))
	spec.RenewTime = &metav1.MicroTime{Time: now}
}

// release gives the lease up, so that another replica need not wait for it to expire.
func (e *election) release() {
	e.mine = nil
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	lease, err := e.leases.Get(ctx, e.name, metav1.GetOptions{})
	if err != nil || ptr.Deref(lease.Spec.HolderIdentity, "") != e.me {
		return
	}
	lease = lease.DeepCopy()
	lease.Spec.HolderIdentity = ptr.To("")
	_, _ = e.leases.Update(ctx, lease, metav1.UpdateOptions{}) // otherwise it expires
}
