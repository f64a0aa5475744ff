package source

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"

	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/snapshot"
	"openservicemesh.io/osm/internal/kube/convert"
	"openservicemesh.io/osm/internal/kube/kubeapi"
	"openservicemesh.io/osm/internal/kube/state"
)

// Quiet periods of the builder. After a build, further changes wait until there were none for quietPeriod, at most for
// maxWait in all. A change that comes later than quietPeriod after the last build goes out at once.
const (
	quietPeriod = 10 * time.Millisecond
	maxWait     = 100 * time.Millisecond
)

// crdPoll is how often absent CRDs are looked for: often at first, since osm-bootstrap installs them while the controller starts, and
// less and less often.
var crdPoll = wait.Backoff{Duration: 50 * time.Millisecond, Factor: 1.2, Cap: 500 * time.Millisecond, Steps: 20}

// crdSettle is for how long a resource that has just appeared is not watched. The API server prepares for it when it is first asked for,
// which takes some milliseconds, and refuses watches until then, with the advice to come back after a second.
const crdSettle = 100 * time.Millisecond

// Update is one delivery.
type Update struct {
	Snapshot *snapshot.Snapshot
	Changed  snapshot.Changed
	// Settings are MeshConfig's words to the control plane.
	Settings convert.Settings
	// Findings are about objects that could not be read and settings without effect.
	Findings []snapshot.Finding
	// ConfigGeneration is the metadata.generation of the MeshConfig.
	ConfigGeneration int64
}

// Options configure a Source. All but ConfigName, Log and OnEvent are needed.
type Options struct {
	Kube         *kubeapi.Clients
	Dynamic      dynamic.Interface
	MeshName     string
	OSMNamespace string
	// ConfigName is the name of the MeshConfig that counts; "" means names.MeshConfig.
	ConfigName  string
	TrustDomain meshid.TrustDomain
	Log         *slog.Logger
	// OnEvent is told every watch event ("add", "update" or "delete") with the object's namespace; for metrics.
	OnEvent func(event, namespace string)
}

// Source watches a cluster.
type Source struct {
	opts  Options
	state *state.State
	dirty chan struct{}
	// queued are the changes since the last snapshot was begun.
	queued atomic.Int64
	ready  atomic.Bool
}

// New prepares a Source; Run does the work.
func New(opts Options) *Source {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.OnEvent == nil {
		opts.OnEvent = func(string, string) {}
	}
	opts.ConfigName = cmp.Or(opts.ConfigName, names.MeshConfig)
	s := &Source{opts: opts, dirty: make(chan struct{}, 1)}
	s.state = state.New(state.Options{
		MeshName: opts.MeshName, OSMNamespace: opts.OSMNamespace, ConfigName: opts.ConfigName, TrustDomain: opts.TrustDomain,
	}, s.wake)
	return s
}

func (s *Source) wake() {
	s.queued.Add(1)
	select {
	case s.dirty <- struct{}{}:
	default:
	}
}

// Ready reports whether a first snapshot of the whole cluster has been delivered.
func (s *Source) Ready() bool { return s.ready.Load() }

// Waiting says what the first snapshot still waits for; "" when nothing.
func (s *Source) Waiting() string {
	if missing := s.state.Unsynced(); len(missing) > 0 {
		return "waiting for the first list of " + strings.Join(missing, ", ")
	}
	if !s.state.HasMeshConfig() {
		return "waiting for MeshConfig " + s.opts.OSMNamespace + "/" + s.opts.ConfigName + ", which osm-bootstrap creates"
	}
	return ""
}

// MonitoredNamespaces lists the namespaces that belong to the mesh, sorted.
func (s *Source) MonitoredNamespaces() []string { return s.state.MonitoredNamespaces() }

// Run watches until ctx ends and calls deliver for every snapshot, always from one goroutine. It never gives up:
// absent CRDs, missing rights and an absent API server are logged and tried again.
func (s *Source) Run(ctx context.Context, deliver func(Update)) {
	var wg sync.WaitGroup
	defer wg.Wait()
	watches := s.watches()
	for _, w := range watches {
		wg.Go(func() { s.reflect(ctx, w) })
	}
	wg.Go(func() { s.reportWaiting(ctx) })
	s.build(ctx, deliver)
}

// reflect keeps one resource in step.
func (s *Source) reflect(ctx context.Context, w watched) {
	if !w.crd.Empty() && !s.awaitCRD(ctx, w) {
		return
	}
	store := &countedStore{Sink: w.sink, onEvent: s.opts.OnEvent}
	cache.NewReflectorWithOptions(w.lw, w.example, store, cache.ReflectorOptions{
		Name: w.sink.Resource,
		// Up to a few seconds between attempts: a mesh that waits for its API server to return should not wait longer.
		Backoff: &wait.Backoff{Duration: 200 * time.Millisecond, Cap: 10 * time.Second, Steps: 50, Factor: 2, Jitter: 0.5},
	}).RunWithContext(ctx)
}

// Queued is how many changes of objects that matter wait for a snapshot that holds them.
func (s *Source) Queued() int { return int(s.queued.Load()) }

// awaitCRD waits until the API server answers for a resource: a reflector would back off for longer and longer.
func (s *Source) awaitCRD(ctx context.Context, w watched) bool {
	announced := false
	err := crdPoll.DelayFunc().Until(ctx, true, true, func(ctx context.Context) (bool, error) {
		list, err := s.opts.Kube.Resources(ctx, w.crd.GroupVersion())
		if err == nil {
			for _, r := range list.APIResources {
				if r.Name == w.crd.Resource {
					return true, nil
				}
			}
		}
		if !announced {
			announced = true
			s.opts.Log.Info("waiting for a CustomResourceDefinition, which osm-bootstrap installs",
				"resource", w.crd.GroupResource().String(), "version", w.crd.Version)
		}
		return false, nil
	})
	if err == nil && announced {
		_, _ = s.opts.Dynamic.Resource(w.crd).List(ctx, metav1.ListOptions{Limit: 1}) // whether it works tells the reflector
		return pause(ctx, crdSettle)
	}
	return err == nil
}

// pause waits; false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// reportWaiting logs what the first snapshot waits for, when it takes longer than usual.
func (s *Source) reportWaiting(ctx context.Context) {
	for delay := 5 * time.Second; !s.Ready(); delay = min(2*delay, time.Minute) {
		if !pause(ctx, delay) {
			return
		}
		if what := s.Waiting(); what != "" && !s.Ready() {
			s.opts.Log.Warn("not ready: "+what, "monitored_namespaces", len(s.MonitoredNamespaces()))
		}
	}
}

// build is the one goroutine that makes snapshots.
func (s *Source) build(ctx context.Context, deliver func(Update)) {
	var shown *snapshot.Snapshot
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.dirty:
		}
		if time.Since(last) < quietPeriod && !s.settle(ctx) {
			return
		}
		// Nothing is shown before everything is known: a partial view would look like deletions.
		if !s.Ready() && s.Waiting() != "" {
			continue
		}
		s.queued.Store(0) // what comes now may be in this snapshot already, or wakes the next one
		result, changed := s.state.Build()
		if !changed {
			continue
		}
		shown = next(shown, result)
		deliver(Update{
			Snapshot: shown, Changed: result.Changed,
			Settings: result.Settings, Findings: slices.Clone(result.Findings),
			ConfigGeneration: result.ConfigGeneration,
		})
		s.ready.Store(true)
		last = time.Now()
	}
}

// next is the snapshot after another; nil is before the first.
func next(last *snapshot.Snapshot, r state.Result) *snapshot.Snapshot {
	if last == nil {
		r.Parts.Generation = 1
		return snapshot.New(r.Parts)
	}
	if !r.Changed.Config {
		return last.WithEndpoints(last.Generation+1, r.Parts.Endpoints)
	}
	r.Parts.Generation = last.Generation + 1
	return snapshot.New(r.Parts)
}

// settle waits until a burst is over; false when ctx ended.
func (s *Source) settle(ctx context.Context) bool {
	quiet := time.NewTimer(quietPeriod)
	defer quiet.Stop()
	limit := time.NewTimer(maxWait)
	defer limit.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-limit.C:
			return true
		case <-quiet.C:
			return true
		case <-s.dirty:
			quiet.Reset(quietPeriod)
		}
	}
}
