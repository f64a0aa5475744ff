package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"openservicemesh.io/osm/internal/app/crds"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/kube/rollout"
	"openservicemesh.io/osm/internal/obs"
)

// setupTimeout bounds everything before /healthz turns well.
const setupTimeout = time.Minute

// Run sets the cluster up, then serves (and, when asked, reconciles) until ctx ends. It serves from the start, so that
// a probe learns what is still to be done. A set-up that fails ends the process: Kubernetes tries again, with a growing pause.
func Run(ctx context.Context, cfg Config, c crds.Clients, m *obs.Metrics, log *slog.Logger) error {
	me := rollout.Replica{Dynamic: c.Dynamic, Namespace: cfg.Namespace, Deployment: names.Bootstrap, Version: cfg.Version}
	set, err := crds.NewSet(c.CRDs, crds.Owner{Mesh: cfg.MeshName, Version: cfg.Version, Reconcile: cfg.Reconcile, Stays: me.Stays}, log)
	if err != nil {
		return err
	}
	var ready atomic.Bool
	health := obs.Health(func() error {
		if !ready.Load() {
			return errors.New("custom resource definitions and MeshConfig are not all in place yet")
		}
		return nil
	})
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		err := obs.Serve(ctx, cfg.addr(), m.Mux(map[string]http.Handler{obs.PathHealthz: health}), nil, log)
		if err != nil {
			return fmt.Errorf("HTTP server on %s: %w", cfg.addr(), err)
		}
		return nil
	})
	g.Go(func() error {
		start := time.Now()
		if err := setUp(ctx, cfg, c, set, log); err != nil {
			return err
		}
		ready.Store(true)
		log.Info("custom resource definitions and MeshConfig are in place", "seconds", time.Since(start).Seconds())
		if cfg.Reconcile {
			g.Go(func() error {
				set.Reconcile(ctx, func() { m.Reconciled("CustomResourceDefinition") })
				return nil
			})
		}
		set.Follow(ctx)
		return nil
	})
	return g.Wait()
}

func setUp(ctx context.Context, cfg Config, c crds.Clients, set *crds.Set, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	if err := set.Apply(ctx); err != nil {
		return err
	}
	if err := set.WaitEstablished(ctx); err != nil {
		return err
	}
	for _, p := range presets(cfg.ConfigName) {
		if err := p.ensure(ctx, c, cfg.Namespace, log); err != nil {
			return err
		}
	}
	return nil
}
