package controller

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/snapshot"
	"openservicemesh.io/osm/internal/kube/convert"
	"openservicemesh.io/osm/internal/kube/gatewaycert"
	"openservicemesh.io/osm/internal/kube/source"
	"openservicemesh.io/osm/internal/obs"
	"openservicemesh.io/osm/internal/obs/errcode"
	"openservicemesh.io/osm/internal/pipeline"
)

// deliver takes a snapshot through the pipeline to the proxies, and its findings to people. It runs on the source's one
// goroutine.
func (p *program) deliver(u source.Update) {
	start := time.Now()
	p.settings.apply(u.Settings)
	view := p.show(u)
	if view == nil {
		return
	}
	p.metrics.SetNamespaces(len(p.source.MonitoredNamespaces()))
	p.rollout.show(u, view, start)
	if u.Changed.Config {
		p.metrics.Broadcast()
		p.settings.flags(u.Snapshot.Mesh.FeatureFlags)
		p.observer.forget(u.Snapshot)
	}
	if u.Snapshot.Generation == 1 {
		p.log.Info("the cluster is known", "services", len(u.Snapshot.Services), "pods", len(u.Snapshot.Pods),
			"permissive", u.Snapshot.Mesh.Permissive, "egress", u.Snapshot.Mesh.Egress)
	}
	p.log.Debug("delivered", "generation", u.Snapshot.Generation, "config", u.Changed.Config,
		"endpoints", len(u.Changed.Endpoints), "proxies", p.hub.Len(), "took", time.Since(start).String())
}

// show makes the view of an update and shows it to the hub; nil when it cannot be made. Then the view before stays in
// force, and the next update is taken as one that changes everything.
func (p *program) show(u source.Update) *pipeline.View {
	p.views.Lock()
	defer p.views.Unlock()
	begin := time.Now()
	view, err := p.pipeline.Apply(u.Snapshot, snapshot.Changed{
		Config: u.Changed.Config || p.behind, Endpoints: u.Changed.Endpoints,
	})
	p.stages.took(stagePipeline, begin)
	p.behind = err != nil
	if err != nil {
		p.log.Error("a snapshot could not be turned into configuration; proxies keep what they have",
			"generation", u.Snapshot.Generation, "error", errcode.Errorf(errcode.GeneratingResources, "%w", err))
		return nil
	}
	p.view.Store(view)
	begin = time.Now()
	p.hub.SetView(view)
	p.stages.took(stagePush, begin)
	return view
}

// followRoots shows proxies every new trust bundle.
func (p *program) followRoots(ctx context.Context) {
	for {
		changed := p.authority.Changed()
		p.views.Lock()
		if view := p.pipeline.SetRoots(p.authority.TrustBundle()); view != nil {
			p.view.Store(view)
			p.hub.SetView(view)
		}
		p.views.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// policies are those of the newest snapshot.
func (p *program) policies() snapshot.Policies {
	if v := p.view.Load(); v != nil {
		return v.Snapshot().Policies
	}
	return nil
}

// signs tells whether certificates are issued from the root that a MeshRootCertificate names.
func (p *program) signs(name string) bool {
	r := p.authority.Roots()
	return r.On && r.Signer == name
}

// hasService tells whether the newest snapshot has a service.
func (p *program) hasService(id meshid.Service) bool {
	v := p.view.Load()
	return v != nil && v.Snapshot().Service(id) != nil
}

// identityOf is the identity of a pod of the newest snapshot.
func (p *program) identityOf(pod meshid.Pod) (meshid.Identity, bool) {
	v := p.view.Load()
	if v == nil {
		return meshid.Identity{}, false
	}
	known := v.Snapshot().Pod(pod)
	if known == nil {
		return meshid.Identity{}, false
	}
	return known.Identity, true
}

// settings puts MeshConfig's words to the control plane into force.
type settings struct {
	p     *program
	level string
	last  convert.Settings
	max   atomic.Int64
	// known are the feature flags ever seen, so that one which goes off is shown as 0.
	known map[string]bool
}

func (s *settings) maxConnections() int { return int(s.max.Load()) }

func (s *settings) apply(now convert.Settings) {
	s.max.Store(int64(now.MaxConnections))
	s.p.debug.set(now.DebugServer)
	if now.LogLevel != s.last.LogLevel {
		level := now.LogLevel
		if level == "" {
			level = s.level
		}
		if err := s.p.logging.SetLevel(level); err != nil {
			s.p.log.Error("MeshConfig spec.observability.osmLogLevel is not followed", "error", err)
		}
	}
	if now.CertValidity != s.last.CertValidity {
		if err := s.p.issuer.SetValidity(now.CertValidity); err != nil {
			s.p.log.Warn("MeshConfig spec.certificate.serviceCertValidityDuration", "error", err)
		}
	}
	g := now.Gateway
	s.p.gateway.Ask(gatewaycert.Want{Namespace: g.Namespace, Name: g.Secret, Names: g.Names, Validity: g.Validity})
	s.last = now
}

func (s *settings) flags(on map[string]bool) {
	if s.known == nil {
		s.known = map[string]bool{}
	}
	for name := range on {
		s.known[name] = true
	}
	for name := range s.known {
		s.p.metrics.SetFeatureFlag(name, on[name])
	}
}

// findingLog logs each finding once, when it has appeared to stay: objects that are applied together arrive one by one, and
// one that names another is there before it for a moment.
type findingLog struct {
	log     *slog.Logger
	metrics *obs.Metrics
	settle  time.Duration

	mu      sync.Mutex
	pending []snapshot.Finding
	waiting bool
	seen    map[snapshot.Finding]bool
}

// report takes all findings there are now.
func (f *findingLog) report(list []snapshot.Finding) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pending = list
	if !f.waiting {
		f.waiting = true
		time.AfterFunc(f.settle, f.flush)
	}
}

func (f *findingLog) flush() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting = false
	now := make(map[snapshot.Finding]bool, len(f.pending))
	for _, x := range f.pending {
		now[x] = true
		if f.seen[x] {
			continue
		}
		args := []any{"object", x.Object.String(), "reason", x.Reason, "severity", string(x.Severity)}
		if x.Code != "" {
			args = append(args, "error_code", x.Code)
			f.metrics.ErrorCode(errcode.Code(x.Code))
		}
		f.log.Warn(x.Message, args...)
	}
	f.seen = now
}
