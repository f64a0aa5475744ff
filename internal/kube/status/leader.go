package status

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"openservicemesh.io/osm/internal/core/names"
)

// Lease timing: when the leader dies without a word, another replica writes within leaseDuration + 2×retryPeriod = 14 s;
// after an orderly shutdown within retryPeriod.
const (
	leaseDuration = 10 * time.Second
	renewDeadline = 7 * time.Second
	retryPeriod   = 2 * time.Second
)

// Run takes part in the election and writes while this replica leads, until ctx ends. A replica that loses the lease
// stands for election again.
func (w *Writer) Run(ctx context.Context) {
	for ctx.Err() == nil {
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock: &resourcelock.LeaseLock{
				LeaseMeta:  metav1.ObjectMeta{Namespace: w.opts.Namespace, Name: names.Controller + "-" + w.opts.MeshName},
				Client:     w.opts.Kube.CoordinationV1(),
				LockConfig: resourcelock.ResourceLockConfig{Identity: w.opts.Replica},
			},
			LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod,
			ReleaseOnCancel: true, Name: names.Controller,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(ctx context.Context) {
					w.opts.Log.Info("this replica writes the statuses of policies from now on")
					w.lead(ctx)
				},
				OnStoppedLeading: func() {},
			},
		})
		if err != nil {
			w.opts.Log.Error("no status will be written", "error", err)
			return
		}
		elector.Run(ctx)
	}
}
