package controller

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	configv1alpha2 "openservicemesh.io/osm/api/config/v1alpha2"
	"openservicemesh.io/osm/internal/core/plan"
	"openservicemesh.io/osm/internal/core/rollout"
	"openservicemesh.io/osm/internal/core/snapshot"
	"openservicemesh.io/osm/internal/kube/source"
	"openservicemesh.io/osm/internal/kube/status"
	"openservicemesh.io/osm/internal/pipeline"
	"openservicemesh.io/osm/internal/xds"
)

// answerPatience is how long what proxies refuse goes unheard while others have not answered.
const answerPatience = time.Second

// rolloutFollower follows each snapshot to the proxies and tells people how far their objects have come.
type rolloutFollower struct {
	p *program
	// news wakes run: there is a snapshot, or what proxies refuse has changed.
	news chan struct{}

	mu      sync.Mutex
	tracker rollout.Tracker
	update  source.Update
	view    *pipeline.View
	shownAt time.Time
	refused int // how many refusals there were at the last look
}

func newRolloutFollower(p *program) *rolloutFollower {
	return &rolloutFollower{p: p, news: make(chan struct{}, 1)}
}

// wake has run look again. It does not block.
func (r *rolloutFollower) wake() {
	select {
	case r.news <- struct{}{}:
	default:
	}
}

// show takes in a snapshot that came at begin and that proxies are told from now on.
func (r *rolloutFollower) show(u source.Update, view *pipeline.View, begin time.Time) {
	r.mu.Lock()
	r.update, r.view, r.shownAt = u, view, begin
	var objects []rollout.Object
	for _, o := range r.report(nil).Objects {
		if o.Generation != 0 {
			objects = append(objects, rollout.Object{Ref: o.Ref, Generation: o.Generation})
		}
	}
	r.tracker.Show(u.Snapshot.Generation, objects)
	r.mu.Unlock()
	r.publish()
	r.wake()
}

// run waits for the proxies' answers until ctx ends.
func (r *rolloutFollower) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.news:
		}
		generation := r.shown()
		if generation == 0 {
			continue
		}
		if r.acked() < generation {
			if !r.taken(ctx, generation) {
				generation = r.p.hub.Taken(generation)
				r.wake()
			}
			r.converged(generation)
		}
		if r.acknowledge(generation) {
			r.publish()
		}
	}
}

// taken waits a moment for the proxies' answers: what one refuses must not wait for another that is slow to answer.
func (r *rolloutFollower) taken(ctx context.Context, generation uint64) bool {
	ctx, cancel := context.WithTimeout(ctx, answerPatience)
	defer cancel()
	return r.p.hub.WaitTaken(ctx, generation) == nil
}

// converged records how long a generation took; one that a later one has overtaken is not counted.
func (r *rolloutFollower) converged(generation uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.view.Generation() == generation {
		r.p.stages.converged(r.shownAt)
	}
}

func (r *rolloutFollower) shown() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.view == nil {
		return 0
	}
	return r.view.Generation()
}

func (r *rolloutFollower) acked() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tracker.Acked()
}

// acknowledge reports whether there is anything new to say: mostly, changes are of endpoints, and nobody waits.
func (r *rolloutFollower) acknowledge(generation uint64) bool {
	rejected := r.p.hub.Rejections()
	r.mu.Lock()
	defer r.mu.Unlock()
	waiting, refused := len(r.tracker.Waiting()), r.refused
	r.refused = len(rejected)
	r.tracker.Acknowledge(generation, r.refusals(rejected))
	return waiting > 0 || refused+r.refused > 0
}

// publish tells logs, metrics and statuses the newest state.
func (r *rolloutFollower) publish() {
	rejected := r.p.hub.Rejections()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.view == nil {
		return
	}
	findings := slices.Concat(r.update.Findings, r.view.Findings(), r.tracker.Findings(r.refusals(rejected)), r.p.rootFindings())
	findings = snapshot.SortFindings(findings)
	r.p.findings.report(findings)
	report := r.report(findings)
	report.Waiting = r.tracker.Waiting()
	r.p.status.Publish(report)
}

func (r *rolloutFollower) report(findings []snapshot.Finding) status.Report {
	return status.ReportOn(status.Object{
		Ref: r.meshConfig(), Resource: configv1alpha2.MeshConfigs, Generation: r.update.ConfigGeneration,
	}, r.update.Snapshot.Policies, findings)
}

func (r *rolloutFollower) meshConfig() snapshot.ObjectRef {
	return snapshot.ObjectRef{Kind: configv1alpha2.KindMeshConfig, Namespace: r.p.o.OSMNamespace, Name: r.p.o.OSMConfigName}
}

// refusals are what proxies refuse of the newest view, with the objects behind it.
func (r *rolloutFollower) refusals(rejected []xds.Rejected) []rollout.Refusal {
	var out []rollout.Refusal
	for _, x := range rejected {
		var kind plan.Resource
		objects, identities, keys := map[snapshot.ObjectRef]bool{}, map[string]bool{}, map[plan.Key]bool{}
		for _, pod := range x.Pods {
			key, known := r.view.Place(pod)
			if !known || keys[key] {
				continue
			}
			keys[key] = true
			k, shaped := r.view.Shaped(key, x.Type, x.Name, x.Version, x.Message)
			for _, o := range shaped {
				if o.Kind == snapshot.KindMeshConfig {
					o = r.meshConfig()
				}
				kind, objects[o], identities[key.Identity.String()] = k, true, true
			}
		}
		if len(objects) > 0 {
			out = append(out, rollout.Refusal{
				Resource: fmt.Sprintf("%s %q", kind, x.Name), Words: x.Message,
				Identities: slices.Sorted(maps.Keys(identities)),
				Objects: slices.SortedFunc(maps.Keys(objects), func(a, b snapshot.ObjectRef) int {
					return snapshot.Finding{Object: a}.Compare(snapshot.Finding{Object: b})
				}),
			})
		}
	}
	return out
}
