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
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/kube/rollout"
	"openservicemesh.io/osm/internal/obs"
	"openservicemesh.io/osm/internal/webhook/announce"
	"openservicemesh.io/osm/internal/webhook/validate"
)

const readyPoll = 20 * time.Millisecond

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

// announce keeps the webhook configuration from when the cluster is known.
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
	me := rollout.Replica{Dynamic: p.dyn, Namespace: p.o.OSMNamespace, Deployment: names.Controller, Version: p.o.OSMVersion}
	root := &announce.Remembered{Root: p.authority}
	webhook.Keeper(p.kube.ValidatingWebhooks, me.Stays).Keep(ctx, root, p.log, func(first, wrote bool) {
		bundle := root.Bundle
		p.announcedRoots.Store(&bundle)
		if wrote && !first {
			p.metrics.Reconciled("ValidatingWebhookConfiguration")
		}
	})
}
