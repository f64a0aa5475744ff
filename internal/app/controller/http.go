package controller

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	accessv1alpha3 "openservicemesh.io/osm/api/smi/access/v1alpha3"
	specsv1alpha4 "openservicemesh.io/osm/api/smi/specs/v1alpha4"
	splitv1alpha2 "openservicemesh.io/osm/api/smi/split/v1alpha2"
	"openservicemesh.io/osm/internal/app/process"
	"openservicemesh.io/osm/internal/obs"
	"openservicemesh.io/osm/internal/webhook/validate"
)

const (
	ensurePause     = time.Second
	reconcilePeriod = 5 * time.Second
	readyPoll       = 20 * time.Millisecond
)

// routes are the pages of port 9091.
func (p *program) routes() http.Handler {
	return p.metrics.Mux(map[string]http.Handler{
		"GET /health/ready": obs.Health(p.ready),
		"GET /health/alive": obs.Health(func() error { return nil }),
		"GET /smi/version":  http.HandlerFunc(smiVersion),
	})
}

// ready is nil when proxies are served what the whole cluster says.
func (p *program) ready() error {
	switch {
	case p.leaving.Load():
		return errors.New("stopping")
	case !p.started.Load():
		return errors.New("waiting for the mesh's root certificate")
	case !p.source.Ready():
		if what := p.source.Waiting(); what != "" {
			return errors.New(what)
		}
		return errors.New("making the first configuration")
	}
	return nil
}

func smiVersion(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{ // fails only when the client went away
		"HTTPRouteGroup": specsv1alpha4.GroupVersion.String(), "TCPRoute": specsv1alpha4.GroupVersion.String(),
		"TrafficSplit": splitv1alpha2.GroupVersion.String(), "TrafficTarget": accessv1alpha3.GroupVersion.String(),
	})
}

// announce keeps the webhook configuration: made once the cluster is known, its CA bundle renewed with the root, and with
// the reconciler put back when it was changed. Without the reconciler a deleted one stays deleted, for its removal is
// part of removing a mesh.
func (p *program) announce(ctx context.Context) {
	for !p.source.Ready() {
		if !process.Pause(ctx, readyPoll, nil) {
			return
		}
	}
	webhook := validate.Configuration{
		Name: p.o.ValidatorWebhookConfig, MeshName: p.o.MeshName, OSMNamespace: p.o.OSMNamespace,
		Version: p.o.OSMVersion, TrafficTargets: p.o.ValidateTrafficTarget, Reconcile: p.o.EnableReconciler,
	}
	for {
		changed := p.authority.Changed()
		wrote, err := webhook.Ensure(ctx, p.kube.ValidatingWebhooks, p.authority.TrustBundle(), !p.announced.Load() || p.o.EnableReconciler)
		period := time.Duration(1<<63 - 1)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			p.log.Error("cannot write the webhook configuration, trying again", "error", err)
			period = ensurePause
		default:
			if before := p.announced.Swap(true); before && wrote {
				p.metrics.Reconciled("ValidatingWebhookConfiguration")
			}
			if p.o.EnableReconciler {
				period = reconcilePeriod
			}
		}
		if !process.Pause(ctx, period, changed) {
			return
		}
	}
}
