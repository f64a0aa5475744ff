package certs

import (
	"context"
	"slices"
	"time"

	config "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/internal/core/rootplan"
)

// Told is what one replica knows of those that it tells about roots.
type Told struct {
	// Component is rootplan.ComponentController or ComponentInjector, Pod the replica's own.
	Component, Pod string
	// Trusting reports whether all of them have the present bundle.
	Trusting func(ctx context.Context) bool
	// Holding is how many hold a certificate of a root, and whether all do.
	Holding func(ctx context.Context, root string) (count int, all bool)
}

// Acknowledge writes, into the statuses of the objects, how far this replica and all it tells have come, until ctx ends.
func (a *Authority) Acknowledge(ctx context.Context, told Told) {
	if a.cfg.Dynamic == nil {
		return
	}
	for {
		changed := a.RootsChanged()
		pause := rereadEvery
		if r := a.Roots(); r.On {
			pause = a.acknowledgeOnce(ctx, r, told)
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-time.After(pause):
		}
	}
}

// acknowledgeOnce returns how soon there may be more to say.
func (a *Authority) acknowledgeOnce(ctx context.Context, r *Roots, told Told) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, readPatience)
	defer cancel()
	pause := rereadEvery
	for _, o := range r.Objects {
		pause = min(pause, urgency(o.Status))
	}
	waited := pause < rereadEvery
	for _, o := range r.Objects {
		if !slices.Contains(r.Trusted, o.Name) || o.Status.State == "" {
			continue
		}
		have, said := o.Status.Replicas[told.Pod]
		if said && !waited {
			continue
		}
		want, ok := a.stage(ctx, o, r.Signer == o.Name, told)
		if !ok || want.Stage == config.StageValidating && o.Name == r.Signer {
			pause = min(pause, lookEvery)
		}
		if !ok || said && have == want {
			continue
		}
		patch := map[string]any{"replicas": map[string]any{told.Pod: map[string]any{
			"component": want.Component, "stage": want.Stage, "proxies": want.Proxies}}}
		if err := a.patchStatus(ctx, o.Name, patch); err != nil && ctx.Err() == nil {
			a.cfg.Log.Warn("what has come of a root could not be acknowledged; it will be tried again", "object", o.Name, "error", err)
			pause = min(pause, readRetry)
		}
	}
	return pause
}

// stage is how far this replica has come with an object; false when it has not come anywhere yet.
func (a *Authority) stage(ctx context.Context, o rootplan.Object, signs bool, told Told) (config.MeshRootCertificateReplica, bool) {
	out := config.MeshRootCertificateReplica{Component: told.Component, Stage: config.StageValidating}
	t := a.trust.Load()
	if !t.trusts(o.Root, a.now()) || !told.Trusting(ctx) {
		return out, false
	}
	if count, all := told.Holding(ctx, o.Root); signs && t.signer.ID == o.Root && all {
		out.Stage, out.Proxies = config.StageIssuing, count
	}
	return out, true
}
