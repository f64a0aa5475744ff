package status

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	apistatus "openservicemesh.io/osm/api/status"
	"openservicemesh.io/osm/internal/core/rollout"
	"openservicemesh.io/osm/internal/core/snapshot"
)

// assertEvery is how often a replica that does not lead looks whether what its proxies refuse is still said: a new leader,
// whose proxies refuse nothing, compares every object once.
const assertEvery = 10 * time.Second

// assert says what the proxies of this replica refuse while another replica leads. Each proxy talks to one replica alone,
// so the leader does not hear of it; all else that is to be said the leader knows.
func (w *Writer) assert(ctx context.Context) {
	mine := map[snapshot.ObjectRef]bool{}
	tick := time.NewTicker(assertEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-w.heard:
			select {
			case <-ctx.Done():
				return
			case <-time.After(w.settle):
			}
		}
		if w.leading.Load() {
			clear(mine) // the leader writes every object
			continue
		}
		if r := w.report(); r != nil {
			w.assertPass(ctx, r, mine)
		}
	}
}

// assertPass writes the objects that proxies of this replica refuse, and those they no longer refuse. mine are those it has
// spoken for.
func (w *Writer) assertPass(ctx context.Context, r *Report, mine map[snapshot.ObjectRef]bool) {
	findings := byObject(r.Findings)
	listed := map[snapshot.ObjectRef]bool{}
	for _, o := range r.Objects {
		v := judge(findings[o.Ref], r.Waiting[o.Ref])
		refused := v.Programmed.Reason == rollout.ReasonRejected
		listed[o.Ref] = refused
		if refused == mine[o.Ref] && (!refused || o.EventOnly) || refused && !o.EventOnly && w.saysRejected(ctx, o) {
			mine[o.Ref] = refused
			continue
		}
		if err := w.write(ctx, o, v); err != nil {
			w.opts.Log.Warn("a status could not be written; it will be tried again", "object", o.Ref.String(), "error", err)
			continue
		}
		mine[o.Ref] = refused
	}
	for ref := range mine {
		if !listed[ref] {
			delete(mine, ref)
		}
	}
}

// saysRejected reports whether an object says already that proxies refuse this generation; in whose words does not matter.
func (w *Writer) saysRejected(ctx context.Context, o Object) bool {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	u, err := w.opts.Dynamic.Resource(o.Resource).Namespace(o.Ref.Namespace).Get(ctx, o.Ref.Name, metav1.GetOptions{})
	if err != nil {
		return false
	}
	list, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	for _, c := range list {
		m, _ := c.(map[string]any)
		generation, _ := m["observedGeneration"].(int64)
		if m["type"] == apistatus.ConditionProgrammed {
			return m["reason"] == rollout.ReasonRejected && generation == o.Generation
		}
	}
	return false
}
