package status

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/rollout"
	"openservicemesh.io/osm/internal/core/snapshot"
	"openservicemesh.io/osm/internal/kube/kubeapi"
)

// Limits of the writer. Statuses are for people: they may lag behind a burst, and must not crowd out other clients of
// the API server.
const (
	writesPerSecond = 20
	writesBurst     = 50
	retryAfter      = 2 * time.Second
	// settle is how long the writer waits after news: objects that are applied together arrive one by one, and what is
	// wrong for a moment only is not worth an event.
	settle          = time.Second
	callTimeout     = 5 * time.Second
	maxEventMessage = 1000 // the events API refuses more than 1024
)

// Options configure a Writer.
type Options struct {
	Kube     *kubeapi.Clients
	Dynamic  dynamic.Interface
	MeshName string
	// Namespace is the control plane's; the Lease lives there.
	Namespace string
	// Replica is this replica's name, unique among them: the pod's name.
	Replica string
	Log     *slog.Logger
	// Leading, if not nil, runs while this replica leads, beside the writing; its context ends with that.
	Leading func(ctx context.Context)
}

// Writer writes the newest report while it is the leader.
type Writer struct {
	opts    Options
	limiter *rate.Limiter
	settle  time.Duration

	mu     sync.Mutex
	latest *Report
	fresh  chan struct{}
	// heard is fresh for assert; leading is whether this replica leads.
	heard   chan struct{}
	leading atomic.Bool
}

// New returns a writer; Run does the work.
func New(opts Options) *Writer {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	return &Writer{opts: opts, limiter: rate.NewLimiter(writesPerSecond, writesBurst), settle: settle, fresh: make(chan struct{}, 1), heard: make(chan struct{}, 1)}
}

// Publish makes r the report to write. It does not block, and a report that was not written yet is replaced.
func (w *Writer) Publish(r Report) {
	w.mu.Lock()
	w.latest = &r
	w.mu.Unlock()
	w.wake()
}

func (w *Writer) wake() {
	select {
	case w.fresh <- struct{}{}:
	default:
	}
	select {
	case w.heard <- struct{}{}:
	default:
	}
}

func (w *Writer) report() *Report {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.latest
}

// written remembers what this leader has written, so that an unchanged verdict costs nothing.
type written map[snapshot.ObjectRef]writtenState

type writtenState struct {
	generation int64
	verdict    verdict
}

// lead writes reports until ctx ends. A new leader starts without memory: it compares every object once.
func (w *Writer) lead(ctx context.Context) {
	w.leading.Store(true)
	defer w.leading.Store(false)
	done := written{}
	w.wake()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.fresh:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(w.settle):
		}
		r := w.report()
		if r == nil || w.pass(ctx, r, done) {
			continue
		}
		time.AfterFunc(retryAfter, w.wake)
	}
}

// pass writes one report; false when something is left to try again. A newer report ends it early.
func (w *Writer) pass(ctx context.Context, r *Report, done written) bool {
	findings := byObject(r.Findings)
	complete := true
	slices.SortFunc(r.Objects, func(a, b Object) int { return compareRefs(a.Ref, b.Ref) })
	seen := make(map[snapshot.ObjectRef]bool, len(r.Objects))
	for _, o := range r.Objects {
		if ctx.Err() != nil || w.report() != r {
			return true
		}
		seen[o.Ref] = true
		state := writtenState{generation: o.Generation, verdict: judge(findings[o.Ref], r.Waiting[o.Ref])}
		if before, ok := done[o.Ref]; ok && before == state && (o.Generation != 0 || o.EventOnly) {
			continue
		}
		if err := w.write(ctx, o, state.verdict); err != nil {
			complete = false
			w.opts.Log.Warn("a status could not be written; it will be tried again", "object", o.Ref.String(), "error", err)
			continue
		}
		done[o.Ref] = state
	}
	for ref := range done {
		if !seen[ref] {
			delete(done, ref)
		}
	}
	return complete
}

// write brings one object's status up to date. An object that is gone, or that has a newer spec than the report, is
// left alone: the next report is about that.
func (w *Writer) write(ctx context.Context, o Object, v verdict) error {
	if err := w.limiter.Wait(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	client := w.opts.Dynamic.Resource(o.Resource).Namespace(o.Ref.Namespace)
	u, err := client.Get(ctx, o.Ref.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if o.EventOnly {
		w.tell(ctx, u, o, v)
		return nil
	}
	if o.Generation != 0 && u.GetGeneration() != o.Generation {
		return nil
	}
	c, err := apply(u, o.Ref.Kind, v)
	if err != nil || !c.Written {
		return err
	}
	if _, err := client.UpdateStatus(ctx, u, metav1.UpdateOptions{FieldManager: names.Controller}); err != nil {
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	}
	if c.Told {
		w.tell(ctx, u, o, v)
	}
	return nil
}

// tell makes an Event on the user's object. Events are a courtesy: a failure is logged and forgotten.
func (w *Writer) tell(ctx context.Context, u *unstructured.Unstructured, o Object, v verdict) {
	kind, reason, message := corev1.EventTypeNormal, v.Accepted.Reason, v.Accepted.Message
	switch {
	case v.Programmed.Reason == rollout.ReasonRejected:
		kind, reason, message = corev1.EventTypeWarning, v.Programmed.Reason, v.Programmed.Message
	case v.Accepted.Status != metav1.ConditionTrue || v.Accepted.Reason == ReasonWarnings:
		kind = corev1.EventTypeWarning
	}
	if len(message) > maxEventMessage {
		message = strings.ToValidUTF8(message[:maxEventMessage], "") + " …"
	}
	now := metav1.Now()
	_, err := w.opts.Kube.Events(o.Ref.Namespace).Create(ctx, &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s.%x", o.Ref.Name, now.UnixNano()), Namespace: o.Ref.Namespace},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: o.Resource.GroupVersion().String(), Kind: o.Ref.Kind, Namespace: o.Ref.Namespace,
			Name: o.Ref.Name, UID: u.GetUID(), ResourceVersion: u.GetResourceVersion(),
		},
		Type: kind, Reason: reason, Message: message, Count: 1,
		FirstTimestamp: now, LastTimestamp: now,
		Source:              corev1.EventSource{Component: names.Controller},
		ReportingController: names.AppName + "/" + names.Controller, ReportingInstance: w.opts.Replica,
	}, metav1.CreateOptions{})
	if err != nil {
		w.opts.Log.Debug("an event could not be created", "object", o.Ref.String(), "error", err)
	}
}
