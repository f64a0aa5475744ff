package status

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"

	policyv1alpha1 "openservicemesh.io/osm/api/policy/v1alpha1"
	accessv1alpha3 "openservicemesh.io/osm/api/smi/access/v1alpha3"
	"openservicemesh.io/osm/internal/core/snapshot"
	"openservicemesh.io/osm/internal/kube/kubeapi/clientset"
)

func object(gv schema.GroupVersion, kind, name string, generation int64) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": gv.String(), "kind": kind,
		"metadata": map[string]any{"namespace": "shop", "name": name, "generation": generation, "uid": "u-" + name},
		"spec":     map[string]any{},
	}}
}

type world struct {
	t       *testing.T
	kube    *fake.Clientset
	dynamic *dynamicfake.FakeDynamicClient
}

func newWorld(t *testing.T, objects ...runtime.Object) *world {
	w := &world{t: t, kube: fake.NewSimpleClientset(), dynamic: dynamicfake.NewSimpleDynamicClient(runtime.NewScheme(), objects...)}
	return w
}

func (w *world) writer(replica string) *Writer {
	return New(Options{Kube: clientset.Of(w.kube), Dynamic: w.dynamic, MeshName: "osm", Namespace: "osm-system", Replica: replica})
}

func (w *world) writes() int {
	n := 0
	for _, a := range w.dynamic.Actions() {
		if a.GetVerb() == "update" && a.GetSubresource() == "status" {
			n++
		}
	}
	return n
}

func (w *world) events() []corev1.Event {
	list, err := w.kube.CoreV1().Events("shop").List(w.t.Context(), metav1.ListOptions{})
	require.NoError(w.t, err)
	return list.Items
}

func (w *world) status(r schema.GroupVersionResource, name string) (string, string, []metav1.Condition, int64) {
	w.t.Helper()
	u, err := w.dynamic.Resource(r).Namespace("shop").Get(w.t.Context(), name, metav1.GetOptions{})
	require.NoError(w.t, err)
	var s struct {
		Status struct {
			CurrentStatus      string             `json:"currentStatus"`
			Reason             string             `json:"reason"`
			ObservedGeneration int64              `json:"observedGeneration"`
			Conditions         []metav1.Condition `json:"conditions"`
		} `json:"status"`
	}
	require.NoError(w.t, runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &s))
	return s.Status.CurrentStatus, s.Status.Reason, s.Status.Conditions, s.Status.ObservedGeneration
}

var (
	target  = snapshot.ObjectRef{Kind: "TrafficTarget", Namespace: "shop", Name: "t"}
	ingress = snapshot.ObjectRef{Kind: "IngressBackend", Namespace: "shop", Name: "i"}
)

func targetReport(generation int64, findings ...snapshot.Finding) *Report {
	return &Report{Objects: []Object{{Ref: target, Resource: accessv1alpha3.TrafficTargets, Generation: generation}}, Findings: findings}
}

func finding(ref snapshot.ObjectRef, s snapshot.Severity, reason, message string) snapshot.Finding {
	return snapshot.Finding{Object: ref, Severity: s, Reason: reason, Message: message}
}

func TestJudge(t *testing.T) {
	tests := []struct {
		name                 string
		findings             []snapshot.Finding
		accepted, programmed metav1.ConditionStatus
		reason, progReason   string
		message, current     string
		waiting              bool
	}{
		{name: "fine", accepted: "True", programmed: "True", reason: "Accepted", progReason: "Programmed", message: "well-formed", current: "committed"},
		{name: "waiting", waiting: true, accepted: "True", programmed: "Unknown", reason: "Accepted", progReason: "Pending", message: "well-formed", current: "committed"},
		{name: "rejected", waiting: true, findings: []snapshot.Finding{finding(target, snapshot.Error, "RejectedByProxy", "words")},
			accepted: "True", programmed: "False", reason: "Accepted", progReason: "RejectedByProxy", message: "well-formed", current: "error"},
		{name: "an error while waiting", waiting: true, findings: []snapshot.Finding{finding(target, snapshot.Error, "Bad", "a")},
			accepted: "False", programmed: "False", reason: "Bad", progReason: "NotAccepted", message: "a", current: "error"},
		{"warning", []snapshot.Finding{finding(target, snapshot.Warning, "Odd", "spec.x is odd")}, "True", "True", "AcceptedWithWarnings", "Programmed", "spec.x is odd", "committed", false},
		{"error", []snapshot.Finding{finding(target, snapshot.Warning, "Odd", "odd"), finding(target, snapshot.Error, "Bad", "a"), finding(target, snapshot.Error, "Worse", "b")},
			"False", "False", "Bad", "NotAccepted", "a; b", "error", false},
		{"not supported", []snapshot.Finding{finding(target, snapshot.Error, "NotSupported", "not acted on")}, "False", "False", "NotSupported", "NotSupported", "not acted on", "error", false},
		{"a setting without effect", []snapshot.Finding{finding(target, snapshot.Warning, "NotSupported", "spec.x: no effect")}, "True", "False", "AcceptedWithWarnings", "NotSupported", "spec.x", "committed", false},
		{"long", []snapshot.Finding{finding(target, snapshot.Error, "Bad", strings.Repeat("ä", 5000))}, "False", "False", "Bad", "NotAccepted", " …", "error", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := judge(tt.findings, tt.waiting)
			require.Equal(t, tt.accepted, v.Accepted.Status)
			require.Equal(t, tt.programmed, v.Programmed.Status)
			require.Equal(t, tt.reason, v.Accepted.Reason)
			require.Equal(t, tt.progReason, v.Programmed.Reason)
			require.Contains(t, v.Accepted.Message, tt.message)
			require.Equal(t, tt.current, v.CurrentStatus)
			require.LessOrEqual(t, len(v.Accepted.Message), maxMessage+10)
		})
	}
}

func TestReportOnListsUnreadableObjectsToo(t *testing.T) {
	tt := &accessv1alpha3.TrafficTarget{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "t", Generation: 4}}
	lost := finding(ingress, snapshot.Error, "Unreadable", "x")
	config := Object{Ref: snapshot.ObjectRef{Kind: "MeshConfig", Namespace: "osm-system", Name: "osm-mesh-config"}, Generation: 2}
	r := ReportOn(config, snapshot.Policies{"TrafficTarget": {tt}}, []snapshot.Finding{lost, finding(target, snapshot.Warning, "Odd", "y"),
		finding(snapshot.ObjectRef{Kind: "Service", Name: "s"}, snapshot.Warning, "Odd", "z")})
	require.Equal(t, []Object{
		config,
		{Ref: target, Resource: accessv1alpha3.TrafficTargets, Generation: 4},
		{Ref: ingress, Resource: policyv1alpha1.IngressBackends},
		{Ref: snapshot.ObjectRef{Kind: "Service", Name: "s"}, Resource: services, EventOnly: true},
	}, r.Objects)
}

func TestWritesOnlyWhatChanged(t *testing.T) {
	w := newWorld(t, object(accessv1alpha3.GroupVersion, "TrafficTarget", "t", 1))
	writer, done := w.writer("a"), written{}
	pass := func(r *Report) {
		t.Helper()
		writer.latest = r
		require.True(t, writer.pass(t.Context(), r, done))
	}
	pass(targetReport(1))
	require.Equal(t, 1, w.writes())
	_, _, conditions, observed := w.status(accessv1alpha3.TrafficTargets, "t")
	require.EqualValues(t, 1, observed)
	require.True(t, meta.IsStatusConditionTrue(conditions, "Accepted"))
	require.True(t, meta.IsStatusConditionTrue(conditions, "Programmed"))
	require.Empty(t, w.events(), "all is well from the start: no event")

	pass(targetReport(1))
	require.Len(t, w.dynamic.Actions(), 3, "an unchanged verdict does not even read (the third is this test's own)")

	bad := finding(target, snapshot.Error, "RouteGroupNotFound", "spec.rules[0].name: x does not exist")
	pass(targetReport(1, bad))
	_, _, conditions, _ = w.status(accessv1alpha3.TrafficTargets, "t")
	require.Equal(t, "RouteGroupNotFound", meta.FindStatusCondition(conditions, "Accepted").Reason)
	require.Len(t, w.events(), 1)
	require.Equal(t, "Warning", w.events()[0].Type)
	require.Equal(t, "u-t", string(w.events()[0].InvolvedObject.UID))

	// A new leader has no memory: it reads, and finds nothing to write or to tell.
	writes := w.writes()
	next := w.writer("b")
	next.latest = targetReport(1, bad)
	require.True(t, next.pass(t.Context(), next.latest, written{}))
	require.Equal(t, writes, w.writes())
	require.Len(t, w.events(), 1)

	pass(targetReport(1))
	require.Len(t, w.events(), 2, "a cured object is told once")
}

func TestStaleReportIsNotWritten(t *testing.T) {
	w := newWorld(t, object(accessv1alpha3.GroupVersion, "TrafficTarget", "t", 7))
	writer := w.writer("a")
	writer.latest = targetReport(6)
	require.True(t, writer.pass(t.Context(), writer.latest, written{}))
	require.Zero(t, w.writes())

	writer.latest = &Report{Objects: []Object{{Ref: snapshot.ObjectRef{Kind: "TrafficTarget", Namespace: "shop", Name: "gone"}, Resource: accessv1alpha3.TrafficTargets, Generation: 1}}}
	require.True(t, writer.pass(t.Context(), writer.latest, written{}), "a deleted object is no failure")

	unreadable := &Report{Objects: []Object{{Ref: target, Resource: accessv1alpha3.TrafficTargets}}, Findings: []snapshot.Finding{finding(target, snapshot.Error, "Unreadable", "x")}}
	writer.latest = unreadable
	require.True(t, writer.pass(t.Context(), unreadable, written{}))
	require.Equal(t, 1, w.writes(), "without a generation, the stored object is meant")
}

func TestSummary(t *testing.T) {
	in := object(policyv1alpha1.GroupVersion, "IngressBackend", "i", 1)
	in.Object["status"] = map[string]any{"currentStatus": "committed", "other": "kept"}
	w := newWorld(t, in)
	writer := w.writer("a")
	write := func(f ...snapshot.Finding) {
		writer.latest = &Report{Objects: []Object{{Ref: ingress, Resource: policyv1alpha1.IngressBackends, Generation: 1}}, Findings: f}
		require.True(t, writer.pass(t.Context(), writer.latest, written{}))
	}
	write(finding(ingress, snapshot.Error, "NoEndpoints", "endpoints not found for service shop/cart"))
	current, reason, _, _ := w.status(policyv1alpha1.IngressBackends, "i")
	require.Equal(t, "error", current)
	require.Equal(t, "endpoints not found for service shop/cart", reason)
	write()
	current, reason, _, _ = w.status(policyv1alpha1.IngressBackends, "i")
	require.Equal(t, "committed", current)
	require.Equal(t, "successfully committed by the system", reason)
	u, err := w.dynamic.Resource(policyv1alpha1.IngressBackends).Namespace("shop").Get(t.Context(), "i", metav1.GetOptions{})
	require.NoError(t, err)
	kept, _, _ := unstructured.NestedString(u.Object, "status", "other")
	require.Equal(t, "kept", kept, "what others write is left alone")
}

func TestFailedWriteIsTriedAgain(t *testing.T) {
	w := newWorld(t, object(accessv1alpha3.GroupVersion, "TrafficTarget", "t", 1))
	fail := true
	w.dynamic.PrependReactor("update", "traffictargets", func(ktesting.Action) (bool, runtime.Object, error) {
		return fail, nil, errors.New("conflict")
	})
	writer, done := w.writer("a"), written{}
	writer.latest = targetReport(1)
	require.False(t, writer.pass(t.Context(), writer.latest, done))
	fail = false
	require.True(t, writer.pass(t.Context(), writer.latest, done))
	_, _, _, observed := w.status(accessv1alpha3.TrafficTargets, "t")
	require.EqualValues(t, 1, observed)
}

func TestOneOfTwoReplicasWritesAndTheOtherTakesOver(t *testing.T) {
	w := newWorld(t, object(accessv1alpha3.GroupVersion, "TrafficTarget", "t", 1))
	run := func(name string) (*Writer, func()) {
		writer := w.writer(name)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); writer.Run(ctx) }()
		return writer, func() { cancel(); <-done }
	}
	holder := func() string {
		l, err := w.kube.CoordinationV1().Leases("osm-system").Get(t.Context(), "osm-controller-osm", metav1.GetOptions{})
		if err != nil || l.Spec.HolderIdentity == nil {
			return ""
		}
		return *l.Spec.HolderIdentity
	}
	first, stopFirst := run("a")
	require.Eventually(t, func() bool { return holder() == "a" }, 5*time.Second, 5*time.Millisecond)
	second, stopSecond := run("b")
	defer stopSecond()
	bad := finding(target, snapshot.Error, "Bad", "x")
	first.Publish(*targetReport(1))
	require.Eventually(t, func() bool { return w.writes() == 1 }, 5*time.Second, 5*time.Millisecond)
	second.Publish(*targetReport(1, bad))
	time.Sleep(2 * settle)
	require.Equal(t, 1, w.writes(), "only the leader writes")

	stopFirst()
	start := time.Now()
	require.Eventually(t, func() bool { return w.writes() == 2 }, 15*time.Second, 5*time.Millisecond, "the other replica resumes")
	require.Less(t, time.Since(start), 15*time.Second)
	require.Equal(t, "b", holder())
}

func TestElection(t *testing.T) {
	kube := fake.NewSimpleClientset()
	now := time.Unix(1000, 0)
	member := func(name string) *election {
		return &election{leases: clientset.Of(kube).Leases("osm-system"), namespace: "osm-system", name: "l", me: name, now: func() time.Time { return now }}
	}
	a, b := member("a"), member("b")
	held := func(e *election) bool {
		t.Helper()
		ok, err := e.try(t.Context())
		require.NoError(t, err)
		return ok
	}
	require.True(t, held(a))
	require.False(t, held(b))
	for range 3 { // a renews: b never takes over
		now = now.Add(leaseDuration - time.Second)
		require.True(t, held(a))
		require.False(t, held(b))
	}
	kube.ClearActions()
	require.True(t, held(a))
	require.Len(t, kube.Actions(), 1, "who leads renews with one call")
	require.False(t, held(b))
	now = now.Add(leaseDuration - time.Millisecond)
	require.False(t, held(b))
	now = now.Add(time.Millisecond)
	require.True(t, held(b), "a was silent for the lease's duration")
	require.False(t, held(a))
	lease, err := kube.CoordinationV1().Leases("osm-system").Get(t.Context(), "l", metav1.GetOptions{})
	require.NoError(t, err)
	require.EqualValues(t, 1, *lease.Spec.LeaseTransitions)

	b.release()
	require.True(t, held(a), "a released lease is free at once")
	b.release()
	require.True(t, held(a), "nobody releases another's lease")

	kube.PrependReactor("update", "leases", func(ktesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewConflict(schema.GroupResource{}, "l", nil)
	})
	require.False(t, held(a), "a lost race")
}

func TestLeaderThatCannotRenewStops(t *testing.T) {
	kube := fake.NewSimpleClientset()
	broken := make(chan struct{})
	kube.PrependReactor("*", "leases", func(ktesting.Action) (bool, runtime.Object, error) {
		select {
		case <-broken:
			return true, nil, errors.New("away")
		default:
			return false, nil, nil
		}
	})
	var skipped atomic.Int64
	e := &election{leases: clientset.Of(kube).Leases("osm-system"), namespace: "osm-system", name: "l", me: "a",
		now: func() time.Time { return time.Now().Add(time.Duration(skipped.Load())) }}
	started, ended := make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.run(ctx, slog.New(slog.DiscardHandler), func(ctx context.Context) { close(started); <-ctx.Done(); close(ended) })
	}()
	<-started
	close(broken)
	skipped.Store(int64(renewDeadline))
	<-ended
	cancel()
	<-done
}
